/**
 * A content service that says what a test wants it to say, at a socket of its own: what the real containerd never would.
 */
import type { Empty } from "@bufbuild/protobuf/wkt"
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Server,
  ServerCredentials
} from "@grpc/grpc-js"
import { Effect } from "effect"
import * as path from "node:path"
import type * as Api from "../../src/layers/containerd/gen/content_pb.ts"
import { Content } from "../../src/layers/containerd/gen/content_pb.ts"
import { serviceDefinition } from "../../src/layers/containerd/methodDefinition.ts"
import { temporaryDirectory } from "./temporaryDirectory.ts"

/** The methods that a test serves; the others are not implemented. */
export interface FakeContent {
  readonly info?: handleUnaryCall<Api.InfoRequest, Api.InfoResponse>
  readonly list?: handleServerStreamingCall<Api.ListContentRequest, Api.ListContentResponse>
  readonly read?: handleServerStreamingCall<Api.ReadContentRequest, Api.ReadContentResponse>
  readonly write?: handleBidiStreamingCall<Api.WriteContentRequest, Api.WriteContentResponse>
  readonly abort?: handleUnaryCall<Api.AbortRequest, Empty>
}

/** The address of its socket. */
export const fakeContainerd = Effect.fnUntraced(function* (implementation: FakeContent) {
  const address = path.join(yield* temporaryDirectory, "fake.sock")
  yield* Effect.acquireRelease(
    Effect.callback<Server, Error>((resume) => {
      const server = new Server()
      server.addService(serviceDefinition(Content), { ...implementation })
      server.bindAsync(`unix://${address}`, ServerCredentials.createInsecure(), (error) =>
        resume(error === null ? Effect.succeed(server) : Effect.fail(error))
      )
    }),
    (server) => Effect.sync(() => server.forceShutdown())
  )
  return address
})

import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as fs from "node:fs/promises"
import { createServer, type Server } from "node:net"
import * as path from "node:path"
import { ContainerdUnreachable } from "../../../src/layers/containerd/containerdErrors.ts"
import {
  ContainerdConnection,
  type ContainerdOptions,
  layer
} from "../../../src/layers/containerd/ContainerdConnection.ts"
import { Version } from "../../../src/layers/containerd/gen/version_pb.ts"
import * as ContentStoreContainerd from "../../../src/layers/ContentStoreContainerd.ts"
import { containerd, missingForContainerd } from "../../support/containerd.ts"
import { descriptorOf, noise } from "../../support/content.ts"
import { openClient } from "../../support/contentStoreSuite.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const missing = missingForContainerd === "" ? "" : ` (skipped: needs ${missingForContainerd})`

const connect = (options: Partial<ContainerdOptions> & Pick<ContainerdOptions, "address">) =>
  Effect.map(Layer.build(layer({ namespace: "default", ...options })), (built) =>
    Context.get(built, ContainerdConnection)
  )

const versionOf = (connection: ContainerdConnection["Service"]) => connection.unary(Version.method.version, {})

/** Answers whoever connects to the socket with the words of another protocol. */
const notGrpc = (address: string) =>
  Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      const server = createServer((socket) => {
        socket.on("error", () => {})
        socket.write("HTTP/1.1 400 Bad Request\r\n\r\n", () => socket.destroy())
      })
      server.listen(address, () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  )

describe("a connection to containerd", () => {
  it.effect("waits ten seconds for a socket that nobody made, and says so as the reference does", () =>
    Effect.gen(function* () {
      const address = path.join(yield* temporaryDirectory, "containerd.sock")
      const connection = yield* connect({ address })
      const call = yield* Effect.forkChild(Effect.flip(versionOf(connection)))
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(call.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(call)
      assert.strictEqual(error._tag, "ContainerdUnreachable")
      const expected = `connection error: desc = "transport: Error while dialing: dial unix://${address}: timeout"`
      assert.include(error.message, expected)
      assert.include(error.message, "Is containerd running")
    })
  )

  it.live("waits as long as it was told", () =>
    Effect.gen(function* () {
      const address = path.join(yield* temporaryDirectory, "containerd.sock")
      const store = yield* openClient(
        ContentStoreContainerd.layer({ address, namespace: "default", timeout: "150 millis" })
      )
      const error = yield* Effect.flip(store.exists(descriptorOf(noise(1)).digest))
      const expected =
        "context deadline exceeded while waiting for connections to become ready: context deadline exceeded"
      assert.include(error.message, expected)
      assert.instanceOf(error.cause, ContainerdUnreachable)
    })
  )

  it.live("does not wait for what cannot become a socket", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const file = path.join(directory, "file")
      yield* Effect.promise(() => fs.writeFile(file, ""))
      const below = yield* connect({ address: path.join(file, "containerd.sock") })
      assert.include((yield* Effect.flip(versionOf(below))).message, "ENOTDIR")
      const long = yield* connect({ address: path.join(directory, "x".repeat(200)) })
      assert.strictEqual((yield* Effect.flip(versionOf(long)))._tag, "ContainerdUnreachable")
    })
  )

  it.live("gives up on a socket where nobody speaks gRPC", () =>
    Effect.gen(function* () {
      const address = path.join(yield* temporaryDirectory, "other.sock")
      yield* notGrpc(address)
      const connection = yield* connect({ address, timeout: "300 millis", patience: "300 millis" })
      const error = yield* Effect.flip(versionOf(connection))
      assert.strictEqual(error._tag, "ContainerdUnreachable")
      assert.include(error.message, "speaks no gRPC")
    })
  )

  describe.skipIf(missing !== "")(`with containerd${missing}`, () => {
    it.live("waits for a containerd that is just starting", () =>
      Effect.gen(function* () {
        const running = yield* containerd()
        yield* running.kill
        yield* Effect.promise(() => fs.rm(running.address, { force: true }))
        const connection = yield* connect({ address: running.address })
        const call = yield* Effect.forkChild(versionOf(connection))
        yield* running.start
        assert.match((yield* Fiber.join(call)).version, /^1\./)
      })
    )

    it.live("cancels the call of an interrupted fiber, and goes on with others", () =>
      Effect.gen(function* () {
        const running = yield* containerd()
        const connection = yield* connect({ address: running.address })
        yield* versionOf(connection)
        yield* running.signal("SIGSTOP")
        const call = yield* Effect.forkChild(versionOf(connection))
        yield* Effect.yieldNow
        yield* Fiber.interrupt(call)
        yield* running.signal("SIGCONT")
        assert.match((yield* versionOf(connection)).version, /^1\./)
      })
    )

    it.live("is closed with its scope", () =>
      Effect.gen(function* () {
        const running = yield* containerd()
        const connection = yield* Effect.scoped(Effect.tap(connect({ address: running.address }), versionOf))
        const error = yield* Effect.flip(versionOf(connection))
        assert.include(error.message, "closed with its scope")
      })
    )
  })
})

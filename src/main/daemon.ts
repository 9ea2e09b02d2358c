/**
 * The snapshotter's executable. The gRPC service for containerd is not part of this version: it says so, and what there is instead.
 */
import { NodeServices } from "@effect/platform-node"
import { Effect } from "effect"
import { Command } from "effect/cli"
import { CommandRefused } from "./commandFailure.ts"
import { runProgram } from "./runProgram.ts"
import { version } from "./version.ts"

const daemon = Command.make("soci-snapshotter-grpc", {}, () =>
  Effect.fail(
    new CommandRefused({
      reason: `version ${version} has no snapshotter service for containerd yet; \`soci mount\` and \`soci run\` start images without it`
    })
  )
).pipe(Command.withDescription("containerd's proxy snapshotter (not in this version)"))

runProgram("soci-snapshotter-grpc", Command.run(daemon, { version }).pipe(Effect.provide(NodeServices.layer)))

/**
 * The command line.
 */
import { NodeServices } from "@effect/platform-node"
import { Effect } from "effect"
import { Command } from "effect/cli"
import { mount } from "./commands/mount.ts"
import { run } from "./commands/run.ts"
import { ztoc } from "./commands/ztoc.ts"
import { runProgram } from "./runProgram.ts"
import { version } from "./version.ts"

const soci = Command.make("soci").pipe(
  Command.withDescription("Start containers before their image has arrived"),
  Command.withSubcommands([mount, run, ztoc])
)

runProgram("soci", Command.run(soci, { version }).pipe(Effect.provide(NodeServices.layer)))

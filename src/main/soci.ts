/**
 * The command line.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import { runCommandLine } from "./cli/commandLine.ts"
import { commands } from "./commands.ts"
import { runProgram } from "./runProgram.ts"

runProgram("soci", runCommandLine(commands, process.argv.slice(2)).pipe(Effect.provide(NodeServices.layer)))

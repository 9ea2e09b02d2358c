/**
 * Runs a program of ours as the process: errors become one line, Ctrl-C and SIGTERM undo what was begun and end with code 130.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Console, Effect } from "effect"
import { CliError } from "effect/cli"
import { ExitWith } from "./commandFailure.ts"

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const report = <E>(name: string, cause: Cause.Cause<E>): Effect.Effect<never, ExitWith> => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
  const error = Cause.squash(cause)
  if (error instanceof ExitWith) return Effect.fail(error)
  // The parser has printed its help and the reason.
  if (CliError.isCliError(error)) return Effect.fail(new ExitWith({ code: 1 }))
  const defect = Cause.hasDies(cause) && error instanceof Error ? `\n${error.stack}` : ""
  return Effect.andThen(Console.error(`${name}: ${messageOf(error)}${defect}`), Effect.fail(new ExitWith({ code: 1 })))
}

/** `name` begins the line that tells of an error. */
export const runProgram = <E>(name: string, program: Effect.Effect<void, E>): void =>
  NodeRuntime.runMain(
    Effect.catchCause(program, (cause) => report(name, cause)),
    { disableErrorReporting: true }
  )

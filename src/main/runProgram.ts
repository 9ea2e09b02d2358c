/**
 * Runs a program of ours as the process: errors become one line, Ctrl-C and SIGTERM undo what was begun and end with code 130; once more, and it
 * ends at once.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Console, Effect, Logger, PlatformError, References } from "effect"
import { CliError } from "effect/cli"
import { logger } from "./cli/logLines.ts"
import { ExitWith } from "./commandFailure.ts"

/** Errors of the platform name the operation; what happened is in their cause. */
const messageOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  const known = PlatformError.isPlatformError(error) && error.cause instanceof Error
  return known ? `${error.message}: ${messageOf(error.cause)}` : error.message
}

/** Whoever read our output has had enough: that is no failure to speak of. */
const isBrokenPipe = (error: unknown): boolean =>
  error instanceof Error && (("code" in error && error.code === "EPIPE") || isBrokenPipe(error.cause))

const report = <E>(name: string, cause: Cause.Cause<E>): Effect.Effect<never, ExitWith> => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
  const error = Cause.squash(cause)
  if (error instanceof ExitWith) return Effect.fail(error)
  if (isBrokenPipe(error)) return Effect.fail(new ExitWith({ code: 141 }))
  // The parser has printed its help and the reason.
  if (CliError.isCliError(error)) return Effect.fail(new ExitWith({ code: 1 }))
  const defect = Cause.hasDies(cause) && error instanceof Error ? `\n${error.stack}` : ""
  return Effect.andThen(Console.error(`${name}: ${messageOf(error)}${defect}`), Effect.fail(new ExitWith({ code: 1 })))
}

/** Programs that run us (npm, our launcher) pass on what the terminal has sent us already: that is not a second Ctrl-C. */
const echoMilliseconds = 200

/** The first signal interrupts the program; whoever sends another has no time for it to clean up. */
const endOnSecondSignal = (name: string): void => {
  let first: number | undefined
  const onSignal = () => {
    const now = performance.now()
    first ??= now
    if (now - first < echoMilliseconds) return
    process.stderr.write(`${name}: ended before all was cleaned up\n`)
    process.exit(130)
  }
  process.on("SIGINT", onSignal)
  process.on("SIGTERM", onSignal)
}

/** Without a listener, whoever closes the pipe we print to would end us with a stack. What is streamed to it fails, and ends with 141. */
const endurePipes = (): void => {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error) => {
      if (!isBrokenPipe(error)) throw error
    })
  }
}

/** `name` begins the line that tells of an error. Standard output is for results: warnings go to standard error. */
export const runProgram = <E>(name: string, program: Effect.Effect<void, E>): void => {
  endOnSecondSignal(name)
  endurePipes()
  NodeRuntime.runMain(
    program.pipe(
      Effect.catchCause((cause) => report(name, cause)),
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, "Warn")
    ),
    { disableErrorReporting: true }
  )
}

/**
 * How commands end: with one line on standard error and an exit code.
 */
import { Data, Runtime } from "effect"

/** What a user did wrong, in words that say what to do. */
export class CommandRefused extends Data.TaggedError("CommandRefused")<{ readonly reason: string }> {
  override get message(): string {
    return this.reason
  }
}

/** Ends the process with a code; everything that had to be said has been. */
export class ExitWith extends Data.TaggedError("ExitWith")<{ readonly code: number }> {
  override get [Runtime.errorExitCode](): number {
    return this.code
  }
  override readonly [Runtime.errorReported] = false
}

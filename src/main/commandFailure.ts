/**
 * How commands end: with one line on standard error and an exit code.
 */
import { Data, Duration, Runtime } from "effect"

/** What a user did wrong, in words that say what to do. */
export class CommandRefused extends Data.TaggedError("CommandRefused")<{ readonly reason: string }> {
  override get message(): string {
    return this.reason
  }
}

/** The command had not ended when its time was up; what it had begun was undone. */
export class DeadlineExceeded extends Data.TaggedError("DeadlineExceeded")<{ readonly timeout: Duration.Duration }> {
  override get message(): string {
    return (
      `context deadline exceeded: the command did not end within ${Duration.format(this.timeout)}; ` +
      `give it a longer --timeout, or none`
    )
  }
}

/** Ends the process with a code; everything that had to be said has been. */
export class ExitWith extends Data.TaggedError("ExitWith")<{ readonly code: number }> {
  override get [Runtime.errorExitCode](): number {
    return this.code
  }
  override readonly [Runtime.errorReported] = false
}

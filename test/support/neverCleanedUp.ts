/**
 * A program that waits, and whose cleaning up takes for ever.
 */
import { Console, Effect } from "effect"
import { runProgram } from "../../src/main/runProgram.ts"

runProgram(
  "stubborn",
  Effect.logDebug("not shown").pipe(
    Effect.andThen(Effect.logWarning("waits")),
    Effect.andThen(Console.log("ready")),
    Effect.andThen(Effect.never),
    Effect.onInterrupt(() => Effect.andThen(Console.log("cleaning up"), Effect.never))
  )
)

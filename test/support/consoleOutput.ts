/**
 * What an effect prints through Effect's console, in place of printing it.
 */
import { Console, Effect, Exit } from "effect"

export interface Printed<A, E> {
  readonly exit: Exit.Exit<A, E>
  readonly stdout: string
  readonly stderr: string
}

export const printed = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Printed<A, E>, never, R> =>
  Effect.suspend(() => {
    let [stdout, stderr] = ["", ""]
    const capturing: Console.Console = {
      ...globalThis.console,
      log: (...parts) => void (stdout += `${parts.join(" ")}\n`),
      error: (...parts) => void (stderr += `${parts.join(" ")}\n`)
    }
    return effect.pipe(
      Effect.provideService(Console.Console, capturing),
      Effect.exit,
      Effect.map((exit) => ({ exit, stdout, stderr }))
    )
  })

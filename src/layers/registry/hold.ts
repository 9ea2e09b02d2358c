/**
 * Resources that may be given back before their scope ends.
 */
import { Effect, Exit, Scope } from "effect"

export interface Held<A> {
  readonly value: A
  /** Gives the connection back before the surrounding scope does. */
  readonly release: Effect.Effect<void>
}

/**
 * Runs an attempt whose resources are released at once if it fails, and by the surrounding scope or by hand if not: a
 * request that is over must not hold a place that the next one waits for.
 */
export const hold = <A, E, R>(
  attempt: Effect.Effect<A, E, R>
): Effect.Effect<Held<A>, E, Exclude<R, Scope.Scope> | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.scope, (outer) =>
      Effect.flatMap(Scope.fork(outer), (own) =>
        restore(Scope.provide(attempt, own)).pipe(
          Effect.onError((cause) => Scope.close(own, Exit.failCause(cause))),
          Effect.map((value) => ({ value, release: Scope.close(own, Exit.void) }))
        )
      )
    )
  )

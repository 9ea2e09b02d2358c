/**
 * Steps that acquire several things, of which none shall stay when a later one fails.
 */
import { Effect, Exit, Scope } from "effect"

/** Keeps in the scope only what succeeded: a failure releases at once what it had acquired. */
export const ownScope = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.gen(function* () {
    const own = yield* Scope.fork(yield* Effect.scope)
    return yield* Scope.provide(effect, own).pipe(Effect.onError((cause) => Scope.close(own, Exit.failCause(cause))))
  })

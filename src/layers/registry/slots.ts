/**
 * Places for work of the same kind: so many at once for each key, the rest waits.
 */
import { Effect, type Scope, Semaphore } from "effect"

/** A place until the scope ends. */
export const makeSlots = (perKey: number) => {
  const slots = new Map<string, { readonly semaphore: Semaphore.Semaphore; users: number }>()
  return (key: string): Effect.Effect<void, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const slot = slots.get(key) ?? { semaphore: Semaphore.makeUnsafe(perKey), users: 0 }
        slots.set(key, slot)
        slot.users++
        return slot
      }),
      (slot) => Effect.sync(() => --slot.users === 0 && slots.delete(key))
    ).pipe(
      Effect.flatMap(({ semaphore }) => semaphore.takeScoped(1)),
      Effect.asVoid
    )
}

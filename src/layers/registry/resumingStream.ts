/**
 * A transfer that goes on where it broke off.
 */
import { Effect, type Scope, Stream } from "effect"
import { streamWithDeadline } from "./deadline.ts"
import { ExchangeFailed, isExchangeFailed } from "./exchangeFailed.ts"
import type { RegistrySettings } from "./registryOptions.ts"
import { pause } from "./retryPolicy.ts"

/** So much new content makes earlier failures forgotten: a long transfer may break often, a stuck one may not. */
const progressBytes = 1024 * 1024

/**
 * Delivers `length` bytes. `openAt` gives the bytes from a position on; it is called again for what is missing when
 * they end early or fail in passing, as long as that helps and for no longer than so many bytes may take. Bytes beyond
 * `length` pass through: the verifier refuses them.
 */
export const resumingStream = <E, R>(
  settings: RegistrySettings,
  length: number,
  openAt: (
    position: number
  ) => Effect.Effect<Stream.Stream<Uint8Array, ExchangeFailed>, E | ExchangeFailed, R | Scope.Scope>
): Stream.Stream<Uint8Array, E | ExchangeFailed, Exclude<R, Scope.Scope>> =>
  Stream.suspend(() => {
    let position = 0

    const endedEarly = Effect.suspend(() =>
      position >= length
        ? Effect.void
        : Effect.fail(
            new ExchangeFailed({ reason: `the body ended after ${position} of ${length} bytes`, transient: true })
          )
    )

    const run = (failures: number): Stream.Stream<Uint8Array, E | ExchangeFailed, Exclude<R, Scope.Scope>> =>
      Stream.suspend(() => {
        const begun = position
        return Stream.unwrap(openAt(begun)).pipe(
          Stream.tap((chunk) => Effect.sync(() => (position += chunk.length))),
          Stream.onEnd(endedEarly),
          Stream.catchIf(isExchangeFailed, (error) => {
            const count = position - begun >= progressBytes ? 1 : failures + 1
            return error.transient && count <= settings.retries
              ? Stream.unwrap(Effect.as(pause(settings, count - 1, error), run(count)))
              : Stream.fail(error)
          })
        )
      })

    return streamWithDeadline(settings, length)(run(0))
  })

/**
 * Ends operations that take too long, however lively they are: a server that sends a byte now and then must not hold
 * anybody for ever.
 */
import { Clock, Duration, Effect, Stream } from "effect"
import type { RegistryFailed } from "../../services/RegistryFetcher.ts"
import { ExchangeFailed } from "./exchangeFailed.ts"
import { type Purpose, registryFailed } from "./registryErrors.ts"
import { deadlineMillis, type RegistrySettings } from "./registryOptions.ts"

const tooLate = (millis: number): string =>
  `it was not done within ${Duration.format(Duration.millis(Math.ceil(millis)))}`

/** For an operation that moves `bytes`, with all its repetitions. */
export const withDeadline =
  (settings: RegistrySettings, purpose: Purpose, bytes = 0) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | RegistryFailed, R> => {
    const millis = deadlineMillis(settings, bytes)
    return Effect.timeoutOrElse(effect, {
      duration: Duration.millis(millis),
      orElse: () => Effect.fail(registryFailed(purpose, tooLate(millis)))
    })
  }

/**
 * As `withDeadline`; only the time that is spent waiting for the stream counts, not what its consumer does in between.
 */
export const streamWithDeadline =
  (settings: RegistrySettings, bytes: number) =>
  <A, E, R>(stream: Stream.Stream<A, E, R>): Stream.Stream<A, E | ExchangeFailed, R> => {
    const millis = deadlineMillis(settings, bytes)
    const fail = () => Effect.fail(new ExchangeFailed({ reason: tooLate(millis), transient: false }))
    return Stream.transformPull(stream, (pull) =>
      Effect.sync(() => {
        let left = millis
        return Effect.flatMap(Clock.currentTimeMillis, (begun) =>
          Effect.timeoutOrElse(pull, { duration: Duration.millis(Math.max(0, left)), orElse: fail }).pipe(
            Effect.tap(() => Effect.map(Clock.currentTimeMillis, (now) => void (left -= now - begun)))
          )
        )
      })
    )
  }

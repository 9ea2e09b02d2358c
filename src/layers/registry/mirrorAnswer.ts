/**
 * What mirrors send is believed no more than what registries send, and matters less: where it is wrong or breaks off,
 * the next server is asked.
 */
import { Effect, Stream } from "effect"
import type { RegistryExchange } from "./endpointClient.ts"
import { ExchangeFailed, isExchangeFailed } from "./exchangeFailed.ts"
import type { RegistryClient } from "./registryClient.ts"

/** Leaves a mirror alone for a while, and makes of its failure one that is repeated: elsewhere. */
const elsewhere =
  (client: RegistryClient, { endpoint }: RegistryExchange) =>
  (failure: ExchangeFailed): Effect.Effect<never, ExchangeFailed> =>
    Effect.andThen(
      client.avoid(endpoint),
      Effect.fail(
        new ExchangeFailed({
          reason: `${endpoint.authority}: ${failure.reason}`,
          transient: true,
          retryAfterMillis: 0,
          ...(failure.cause === undefined ? {} : { cause: failure.cause })
        })
      )
    )

export const orElsewhere =
  (client: RegistryClient, exchange: RegistryExchange) =>
  <A, E, R>(effect: Effect.Effect<A, E | ExchangeFailed, R>): Effect.Effect<A, E | ExchangeFailed, R> =>
    exchange.isLast ? effect : Effect.catchIf(effect, isExchangeFailed, elsewhere(client, exchange))

/** As `orElsewhere`, for a body of which `length` bytes are expected. */
export const bodyOrElsewhere =
  (client: RegistryClient, exchange: RegistryExchange, length: number) =>
  (body: Stream.Stream<Uint8Array, ExchangeFailed>): Stream.Stream<Uint8Array, ExchangeFailed> =>
    exchange.isLast
      ? body
      : Stream.suspend(() => {
          let missing = length
          const endedEarly = Effect.suspend(() =>
            missing > 0
              ? Effect.fail(new ExchangeFailed({ reason: `${missing} bytes are missing`, transient: true }))
              : Effect.void
          )
          return body.pipe(
            Stream.tap((chunk) => Effect.sync(() => (missing -= chunk.length))),
            Stream.onEnd(endedEarly),
            Stream.catch((failure) => Stream.fromEffect(elsewhere(client, exchange)(failure)))
          )
        })

/**
 * How answers and failures of requests become the errors of the service.
 */
import { Effect, Stream } from "effect"
import {
  formatRepository,
  NotInRegistry,
  type RegistryError,
  RegistryFailed,
  RegistryUnauthorized,
  type Repository
} from "../../services/RegistryFetcher.ts"
import type { Exchange } from "./exchange.ts"
import { type ExchangeFailed, isExchangeFailed } from "./exchangeFailed.ts"
import type { Operation } from "./registryClient.ts"
import { describeStatus } from "./retryPolicy.ts"

/** What a request is made for. */
export interface Purpose {
  readonly operation: Operation
  readonly repository: Repository
  /** A tag or a digest. */
  readonly reference: string
}

export const purposeOf = (operation: Operation, repository: Repository, reference: string): Purpose => ({
  operation,
  repository: { host: repository.host, repository: repository.repository },
  reference
})

export const registryFailed = (
  { operation, repository, reference }: Purpose,
  reason: string,
  more: { readonly status?: number; readonly cause?: unknown } = {}
): RegistryFailed =>
  new RegistryFailed({ operation, repository: formatRepository(repository), reference, reason, ...more })

export const unauthorized = ({ operation, repository }: Purpose, status: number, reason: string) =>
  new RegistryUnauthorized({ operation, repository: formatRepository(repository), status, reason })

const registryErrorOf = (purpose: Purpose, { status, reason, cause }: ExchangeFailed): RegistryError =>
  status === 401
    ? unauthorized(purpose, 401, reason)
    : registryFailed(purpose, reason, {
        ...(status === undefined ? {} : { status }),
        ...(cause === undefined ? {} : { cause })
      })

/** Says what a request failed with; other errors of the effect stay what they are. */
export const asRegistryError =
  (purpose: Purpose) =>
  <A, E, R>(effect: Effect.Effect<A, E | ExchangeFailed, R>) =>
    Effect.catchIf(effect, isExchangeFailed, (error) => Effect.fail(registryErrorOf(purpose, error)))

export const streamAsRegistryError =
  (purpose: Purpose) =>
  <A, E, R>(stream: Stream.Stream<A, E | ExchangeFailed, R>) =>
    Stream.catchIf(stream, isExchangeFailed, (error) => Stream.fail(registryErrorOf(purpose, error)))

/** The error for an answer that was not the one hoped for. */
export const unexpectedAnswer = (purpose: Purpose, exchange: Exchange): Effect.Effect<never, RegistryError> =>
  Effect.flatMap(describeStatus(exchange), (reason): Effect.Effect<never, RegistryError> => {
    const { status, before } = exchange
    const { repository, reference } = purpose
    if (status === 404) {
      const also = before === undefined ? {} : { before }
      return Effect.fail(new NotInRegistry({ repository: formatRepository(repository), reference, ...also }))
    }
    return Effect.fail(
      status === 401 || status === 403
        ? unauthorized(purpose, status, reason)
        : registryFailed(purpose, reason, { status })
    )
  })

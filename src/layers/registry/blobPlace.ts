/**
 * Where a blob really is: the registry itself, or the URL it redirects to. That URL is used directly, and asked for again when it
 * no longer lets us in (signed URLs expire).
 */
import { Effect, Semaphore } from "effect"
import type { Descriptor } from "../../services/Descriptor.ts"
import type { RegistryError } from "../../services/RegistryFetcher.ts"
import { checkProbe } from "./contentRange.ts"
import { drain, ExchangeFailed, isExchangeFailed } from "./exchange.ts"
import { hold, type RegistryClient } from "./registryClient.ts"
import { type Purpose, unexpectedAnswer } from "./registryErrors.ts"
import { registryOrigin } from "./registryOptions.ts"
import { retrying } from "./retryPolicy.ts"

/** Answers of a place that does not know our URL any more; storages differ in how they say so. */
const stale: ReadonlyArray<number> = [400, 401, 403, 404, 410]

const rangeHeader = (start: number, end: number) => ({ range: `bytes=${start}-${end - 1}` })

const askRegistry = (client: RegistryClient, purpose: Purpose, start: number, end: number) =>
  client.request({
    method: "GET",
    ...purpose.repository,
    actions: "pull",
    path: `blobs/${purpose.reference}`,
    headers: rangeHeader(start, end)
  })

/** A GET of one byte, since many registries redirect no HEAD. */
const findPlace = Effect.fnUntraced(function* (client: RegistryClient, purpose: Purpose, size: number) {
  const exchange = yield* askRegistry(client, purpose, 0, 1)
  // No range of an empty blob can be had.
  if (size === 0 && exchange.status === 416) return exchange.url
  if (exchange.status !== 200 && exchange.status !== 206) return yield* unexpectedAnswer(purpose, exchange)
  yield* checkProbe(exchange, size)
  return exchange.url
}, Effect.scoped)

const asExchangeFailed = (error: ExchangeFailed | RegistryError): ExchangeFailed =>
  isExchangeFailed(error) ? error : new ExchangeFailed({ reason: error.message, transient: false, cause: error })

/** Finds the place of a blob, and gives a way to ask there for the bytes [start, end). */
export const openBlobPlace = Effect.fnUntraced(function* (client: RegistryClient, purpose: Purpose, blob: Descriptor) {
  const { host } = purpose.repository
  const ownOrigin = registryOrigin(client.settings, host)
  const isOwn = (url: string): boolean => new URL(url).origin === ownOrigin
  const find = findPlace(client, purpose, blob.size)
  const finding = yield* Semaphore.make(1)
  let place = yield* retrying(client.settings)(find)

  /** Any number of reads that find the place stale ask once. */
  const findAgain = (staleUrl: string) =>
    finding.withPermits(1)(
      Effect.suspend(() =>
        place === staleUrl
          ? Effect.map(Effect.mapError(find, asExchangeFailed), (found) => (place = found))
          : Effect.succeed(place)
      )
    )

  const ask = (url: string, start: number, end: number) =>
    isOwn(url)
      ? askRegistry(client, purpose, start, end)
      : client.requestUrl(host, { method: "GET", url, headers: rangeHeader(start, end) })

  return Effect.fnUntraced(function* (start: number, end: number) {
    const url = place
    const first = yield* hold(ask(url, start, end))
    if (isOwn(url) || !stale.includes(first.value.status)) return first.value
    yield* drain(first.value)
    yield* first.release
    return yield* ask(yield* findAgain(url), start, end)
  })
})

/**
 * Where a blob really is: at the registry or one of its mirrors, or at the URL that one redirects to. That URL is used
 * directly, and asked for again when it no longer lets us in (signed URLs expire). Where one place fails, the next is
 * taken.
 */
import { Effect, Semaphore } from "effect"
import type { Descriptor } from "../../services/Descriptor.ts"
import type { RegistryError } from "../../services/RegistryFetcher.ts"
import { checkProbe } from "./contentRange.ts"
import type { FoundEndpoint } from "./endpointClient.ts"
import { drain, type Exchange } from "./exchange.ts"
import { ExchangeFailed, isExchangeFailed } from "./exchangeFailed.ts"
import { hold } from "./hold.ts"
import { type RegistryClient, withBefore } from "./registryClient.ts"
import type { RegistryEndpoint } from "./registryEndpoint.ts"
import { type Purpose, unexpectedAnswer } from "./registryErrors.ts"
import { describeStatus, retrying } from "./retryPolicy.ts"

/** Answers of a place that does not know our URL any more; storages differ in how they say so. */
const stale: ReadonlyArray<number> = [400, 401, 403, 404, 410]

const rangeHeader = (start: number, end: number) => ({ range: `bytes=${start}-${end - 1}` })

interface Place {
  readonly endpoint: FoundEndpoint
  readonly url: string
}

const isOwn = ({ endpoint, url }: Place): boolean => URL.parse(url)?.origin === endpoint.origin

const askEndpoint = (
  client: RegistryClient,
  endpoint: RegistryEndpoint,
  { repository, reference }: Purpose,
  start: number,
  end: number
) =>
  client.requestAt(endpoint, {
    method: "GET",
    ...repository,
    capability: "pull",
    actions: "pull",
    path: `blobs/${reference}`,
    headers: rangeHeader(start, end)
  })

/** A GET of one byte, since many registries redirect no HEAD. */
const probe = Effect.fnUntraced(function* (
  client: RegistryClient,
  endpoint: RegistryEndpoint,
  purpose: Purpose,
  size: number,
  before: ReadonlyArray<string> = []
) {
  const answered = yield* Effect.mapError(askEndpoint(client, endpoint, purpose, 0, 1), withBefore(before))
  const exchange = before.length === 0 ? answered : { ...answered, before: before.join("; ") }
  const place: Place = { endpoint: exchange.endpoint, url: exchange.url }
  // No range of an empty blob can be had.
  if (size === 0 && exchange.status === 416) return place
  if (exchange.status !== 200 && exchange.status !== 206) return yield* unexpectedAnswer(purpose, exchange)
  yield* checkProbe(exchange, size)
  return place
}, Effect.scoped)

const asExchangeFailed = (error: ExchangeFailed | RegistryError): ExchangeFailed =>
  isExchangeFailed(error) ? error : new ExchangeFailed({ reason: error.message, transient: false, cause: error })

/** A failure that is repeated at once, at another place. */
export const elsewhere = (reason: string) => new ExchangeFailed({ reason, transient: true, retryAfterMillis: 0 })

export interface BlobAnswer {
  readonly exchange: Exchange
  /** The answer is of no use: the next one comes from elsewhere. Whether there is an elsewhere. */
  readonly leave: Effect.Effect<boolean>
  /** The answer will do, but one from elsewhere would be better. */
  readonly preferOther: Effect.Effect<void>
}

/** Finds the place of a blob, and gives a way to ask there for the bytes [start, end). */
export const openBlobPlace = Effect.fnUntraced(function* (client: RegistryClient, purpose: Purpose, blob: Descriptor) {
  const { host } = purpose.repository
  /** Servers that failed us, by name; asked again only when no other is left. */
  const avoided = new Set<string>()
  const finding = yield* Semaphore.make(1)

  const ordered = Effect.map(client.endpoints(host, "pull"), (endpoints) => {
    if (endpoints.every(({ authority }) => avoided.has(authority))) avoided.clear()
    return endpoints.toSorted((a, b) => Number(avoided.has(a.authority)) - Number(avoided.has(b.authority)))
  })

  const find = Effect.gen(function* () {
    const endpoints = yield* ordered
    const before: Array<string> = []
    for (const endpoint of endpoints.slice(0, -1)) {
      const found = yield* probe(client, endpoint, purpose, blob.size).pipe(
        Effect.catch((error) => {
          before.push(`${endpoint.authority}: ${error.message}`)
          avoided.add(endpoint.authority)
          return Effect.undefined
        })
      )
      if (found !== undefined) return found
    }
    const last = endpoints.at(-1)
    if (last === undefined) return yield* new ExchangeFailed({ reason: "nobody can be asked", transient: false })
    return yield* probe(client, last, purpose, blob.size, before)
  })

  let place: Place | undefined = yield* retrying(client.settings)(find)

  /** Any number of reads that find the place stale ask once. */
  const findAgain = (left: Place | undefined) =>
    finding.withPermits(1)(
      Effect.suspend(() =>
        place !== undefined && place !== left
          ? Effect.succeed(place)
          : Effect.map(Effect.mapError(find, asExchangeFailed), (found) => (place = found))
      )
    )

  const ask = (from: Place, start: number, end: number): ReturnType<RegistryClient["requestUrl"]> =>
    isOwn(from)
      ? askEndpoint(client, from.endpoint, purpose, start, end)
      : client.requestUrl(from.endpoint, { method: "GET", url: from.url, headers: rangeHeader(start, end) })

  /** Whether there are servers that did not fail us; `from` did. */
  const hasOthers = (from: Place) =>
    Effect.map(
      Effect.orElseSucceed(client.endpoints(host, "pull"), () => []),
      (endpoints) => {
        avoided.add(from.endpoint.authority)
        return endpoints.some(({ authority }) => !avoided.has(authority))
      }
    )

  const leave = (from: Place) =>
    Effect.map(hasOthers(from), (others) => {
      // Where all have failed, the next attempt begins with the first of them; a single one keeps its place.
      const single = avoided.size === 1 && !others
      if (!others) avoided.clear()
      if (!single && place === from) place = undefined
      return others
    })

  const preferOther = (from: Place) =>
    Effect.map(hasOthers(from), (others) => {
      if (others && place === from) place = undefined
    })

  const answer = (exchange: Exchange, at: Place): BlobAnswer => ({
    exchange,
    leave: leave(at),
    preferOther: preferOther(at)
  })

  return Effect.fnUntraced(function* (start: number, end: number) {
    const from = place ?? (yield* findAgain(undefined))
    const first = yield* hold(ask(from, start, end)).pipe(
      Effect.catch((failure) =>
        Effect.flatMap(leave(from), (others) => Effect.fail(others ? elsewhere(failure.reason) : failure))
      )
    )
    const { status } = first.value
    if (isOwn(from) ? status < 400 : !stale.includes(status)) return answer(first.value, from)
    if (isOwn(from)) {
      if (!(yield* leave(from))) return answer(first.value, from)
      return yield* elsewhere(yield* describeStatus(first.value))
    }
    yield* drain(first.value)
    yield* first.release
    const found = yield* findAgain(from)
    return answer(yield* ask(found, start, end), found)
  })
})

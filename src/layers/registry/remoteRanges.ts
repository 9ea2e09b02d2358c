/**
 * A blob of a registry, opened for ranged reads. The registry is asked once where the blob really is; reads go there directly, and
 * the registry is asked again when that place no longer lets us in (signed URLs expire).
 */
import { Effect, Semaphore, Stream } from "effect"
import type { Descriptor } from "../../services/Descriptor.ts"
import { formatRepository, type RegistryFetcher, type Repository } from "../../services/RegistryFetcher.ts"
import { BlobReadFailed, type RemoteBlob } from "../../services/RemoteBlob.ts"
import { checkProbe, rangeOf } from "./contentRange.ts"
import { drain, type Exchange, ExchangeFailed, isExchangeFailed } from "./exchange.ts"
import { hold, type RegistryClient } from "./registryClient.ts"
import { asRegistryError, type Purpose, unexpectedAnswer } from "./registryErrors.ts"
import { registryOrigin } from "./registryOptions.ts"
import { resumingStream } from "./resumingStream.ts"
import { describeStatus, retrying } from "./retryPolicy.ts"

/** Answers of a place that does not know our URL any more; storages differ in how they say so. */
const stale: ReadonlyArray<number> = [400, 401, 403, 404, 410]

const rangeHeader = (start: number, end: number) => ({ range: `bytes=${start}-${end - 1}` })

const findPlace = Effect.fnUntraced(function* (client: RegistryClient, purpose: Purpose, size: number) {
  const exchange = yield* client.request({
    method: "GET",
    ...purpose.repository,
    actions: "pull",
    path: `blobs/${purpose.reference}`,
    headers: rangeHeader(0, 1)
  })
  // No range of an empty blob can be had.
  if (size === 0 && exchange.status === 416) return exchange.url
  if (exchange.status !== 200 && exchange.status !== 206) return yield* unexpectedAnswer(purpose, exchange)
  yield* checkProbe(exchange, size)
  return exchange.url
}, Effect.scoped)

const unusable = (exchange: Exchange, size: number) =>
  Effect.flatMap(describeStatus(exchange), (reason) =>
    Effect.fail(
      new ExchangeFailed({
        reason: exchange.status === 416 ? `${reason}; the blob there is not the one of ${size} bytes` : reason,
        transient: false,
        status: exchange.status
      })
    )
  )

export const makeOpen = (client: RegistryClient): RegistryFetcher["Service"]["open"] =>
  Effect.fn("RegistryFetcher.open")(function* (repository: Repository, descriptor: Descriptor) {
    const { digest, size } = descriptor
    const { host } = repository
    const purpose: Purpose = {
      operation: "open",
      repository: { host, repository: repository.repository },
      reference: digest
    }
    const location = `${formatRepository(repository)}@${digest}`
    const ownOrigin = registryOrigin(client.settings, host)
    const find = findPlace(client, purpose, size)
    const finding = yield* Semaphore.make(1)
    let place = yield* find.pipe(retrying(client.settings), asRegistryError(purpose))

    /** Any number of reads that find the place stale ask once. */
    const findAgain = (staleUrl: string) =>
      finding.withPermits(1)(
        Effect.suspend(() =>
          place === staleUrl
            ? find.pipe(
                Effect.mapError((error) =>
                  isExchangeFailed(error)
                    ? error
                    : new ExchangeFailed({ reason: error.message, transient: false, cause: error })
                ),
                Effect.map((found) => (place = found))
              )
            : Effect.succeed(place)
        )
      )

    const ask = (url: string, start: number, end: number) =>
      new URL(url).origin === ownOrigin
        ? client.request({
            method: "GET",
            ...purpose.repository,
            actions: "pull",
            path: `blobs/${digest}`,
            headers: rangeHeader(start, end)
          })
        : client.requestUrl(host, { method: "GET", url, headers: rangeHeader(start, end) })

    const answerFor = Effect.fnUntraced(function* (start: number, end: number) {
      const url = place
      const first = yield* hold(ask(url, start, end))
      if (new URL(url).origin === ownOrigin || !stale.includes(first.value.status)) return first.value
      yield* drain(first.value)
      yield* first.release
      return yield* ask(yield* findAgain(url), start, end)
    })

    const openRange = Effect.fnUntraced(function* (start: number, end: number) {
      const exchange = yield* answerFor(start, end)
      return exchange.status === 200 || exchange.status === 206
        ? yield* rangeOf(exchange, start, end, size)
        : yield* unusable(exchange, size)
    })

    const read: RemoteBlob["read"] = (offset, length) => {
      const failed = (reason: string, cause?: unknown) =>
        new BlobReadFailed({ blob: location, offset, length, reason, ...(cause === undefined ? {} : { cause }) })
      if (!(offset >= 0 && length >= 0 && offset + length <= size)) {
        return Stream.fail(failed(`the blob has only ${size} bytes`))
      }
      if (length === 0) return Stream.empty
      return resumingStream(client.settings, length, (position) => openRange(offset + position, offset + length)).pipe(
        Stream.mapError(({ reason, cause }) => failed(reason, cause))
      )
    }
    return { descriptor, location, read } satisfies RemoteBlob
  })

/**
 * A blob of a registry, opened for ranged reads.
 */
import { Effect, Stream } from "effect"
import type { Descriptor } from "../../services/Descriptor.ts"
import { formatRepository, type RegistryFetcher, type Repository } from "../../services/RegistryFetcher.ts"
import { BlobReadFailed, type RemoteBlob } from "../../services/RemoteBlob.ts"
import { elsewhere, openBlobPlace } from "./blobPlace.ts"
import { rangeOf } from "./contentRange.ts"
import { withDeadline } from "./deadline.ts"
import type { Exchange } from "./exchange.ts"
import { ExchangeFailed } from "./exchangeFailed.ts"
import type { RegistryClient } from "./registryClient.ts"
import { asRegistryError, type Purpose } from "./registryErrors.ts"
import { resumingStream } from "./resumingStream.ts"
import { describeStatus } from "./retryPolicy.ts"

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

/** What lies between two positions, read in ranges of at most `most` bytes. */
const inRanges = <E>(
  start: number,
  end: number,
  most: number,
  read: (start: number, end: number) => Stream.Stream<Uint8Array, E>
): Stream.Stream<Uint8Array, E> =>
  end - start <= most
    ? read(start, end)
    : Stream.concat(
        read(start, start + most),
        Stream.suspend(() => inRanges(start + most, end, most, read))
      )

export const makeOpen = (client: RegistryClient): RegistryFetcher["Service"]["open"] =>
  Effect.fn("RegistryFetcher.open")(function* ({ host, repository }: Repository, descriptor: Descriptor) {
    const { digest, size } = descriptor
    const purpose: Purpose = { operation: "open", repository: { host, repository }, reference: digest }
    const location = `${formatRepository(purpose.repository)}@${digest}`
    const ask = yield* openBlobPlace(client, purpose, descriptor).pipe(
      asRegistryError(purpose),
      withDeadline(client.settings, purpose)
    )

    const openRange = Effect.fnUntraced(function* (start: number, end: number) {
      const { exchange, leave, preferOther } = yield* ask(start, end)
      const usable = exchange.status === 200 || exchange.status === 206
      const body = yield* (usable ? rangeOf(exchange, start, end, size) : unusable(exchange, size)).pipe(
        Effect.catch((failure) =>
          Effect.flatMap(leave, (others) => Effect.fail(others ? elsewhere(failure.reason) : failure))
        )
      )
      // A server that knows no ranges sends everything each time: whoever knows them is asked from now on.
      if (exchange.status === 200 && end - start < size) yield* preferOther
      return Stream.tapError(body, () => leave)
    })

    const read: RemoteBlob["read"] = (offset, length) => {
      const failed = (reason: string, cause?: unknown) =>
        new BlobReadFailed({ blob: location, offset, length, reason, ...(cause === undefined ? {} : { cause }) })
      if (!(offset >= 0 && length >= 0 && offset + length <= size)) {
        return Stream.fail(failed(`the blob has only ${size} bytes`))
      }
      if (length === 0) return Stream.empty
      return inRanges(offset, offset + length, client.settings.rangeBytes, (start, end) =>
        resumingStream(client.settings, end - start, (position) => openRange(start + position, end))
      ).pipe(Stream.mapError(({ reason, cause }) => failed(reason, cause)))
    }
    return { descriptor, location, read } satisfies RemoteBlob
  })

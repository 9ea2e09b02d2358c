/**
 * What part of a blob an answer holds (RFC 9110, 14.4), compared with what was asked for: a server that answers with
 * another part must not pass for one that answered with ours.
 */
import { Effect, Stream } from "effect"
import { drain, type Exchange, shownUrl } from "./exchange.ts"
import { ExchangeFailed } from "./exchangeFailed.ts"

const refused = (exchange: Exchange, reason: string) =>
  new ExchangeFailed({ reason: `${shownUrl(exchange.url)}: ${reason}`, transient: false, status: exchange.status })

const contentRange = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/i

/** Checks the head of a 206 answer to a request for [start, end) of a blob of `size` bytes. */
const checkRange = (exchange: Exchange, start: number, end: number, size: number) => {
  const header = exchange.headers["content-range"] ?? ""
  const [, first, last, total] = contentRange.exec(header) ?? []
  if (first === undefined || Number(first) !== start || Number(last) < start || Number(last) >= end) {
    return Effect.fail(refused(exchange, `asked for bytes ${start}-${end - 1}, it answered with "${header}"`))
  }
  return total === "*" || Number(total) === size
    ? Effect.void
    : Effect.fail(refused(exchange, `the blob has ${total} bytes there, its descriptor says ${size}`))
}

/** Checks the head of an answer that holds a whole blob of `size` bytes. */
export const checkLength = (exchange: Exchange, size: number): Effect.Effect<void, ExchangeFailed> => {
  const length = exchange.headers["content-length"]
  return length === undefined || Number(length) === size
    ? Effect.void
    : Effect.fail(refused(exchange, `the blob has ${length} bytes there, its descriptor says ${size}`))
}

/** Leaves out the first bytes of a body. */
const skip =
  (count: number) =>
  <E>(body: Stream.Stream<Uint8Array, E>): Stream.Stream<Uint8Array, E> =>
    Stream.suspend(() => {
      let missing = count
      return body.pipe(
        Stream.map((chunk) => {
          const rest = chunk.subarray(missing)
          missing -= chunk.length - rest.length
          return rest
        }),
        Stream.filter((chunk) => chunk.length > 0)
      )
    })

/** At most the first bytes of a body; the rest is not read. */
export const take =
  (count: number) =>
  <E>(body: Stream.Stream<Uint8Array, E>): Stream.Stream<Uint8Array, E> =>
    Stream.suspend(() => {
      let missing = count
      return body.pipe(
        Stream.rechunk(1),
        Stream.map((chunk) => {
          const part = chunk.subarray(0, missing)
          missing -= part.length
          return part
        }),
        Stream.takeUntil(() => missing === 0)
      )
    })

/**
 * The body of a partial answer. One that says how long it is is read to its end, so that its connection can be used
 * again; to stop at the last byte would look like giving up.
 */
const partOf = (exchange: Exchange, length: number): Stream.Stream<Uint8Array, ExchangeFailed> => {
  const declared = Number(exchange.headers["content-length"] ?? Number.POSITIVE_INFINITY)
  return declared <= length ? exchange.body : take(length)(exchange.body)
}

/**
 * The bytes [start, end) of a blob of `size` bytes out of an answer with status 200 or 206: a server that does not know
 * ranges sends everything, and we skip to the start. An answer with fewer bytes ends early.
 */
export const rangeOf = (
  exchange: Exchange,
  start: number,
  end: number,
  size: number
): Effect.Effect<Stream.Stream<Uint8Array, ExchangeFailed>, ExchangeFailed> => {
  if (exchange.status === 206) return Effect.as(checkRange(exchange, start, end, size), partOf(exchange, end - start))
  return Effect.as(checkLength(exchange, size), exchange.body.pipe(skip(start), take(end - start)))
}

/** Checks the answer to a request for the first byte of a blob, and reads it away. */
export const checkProbe = (exchange: Exchange, size: number): Effect.Effect<void, ExchangeFailed> =>
  exchange.status === 206
    ? Effect.andThen(checkRange(exchange, 0, 1, size), drain(exchange))
    : Effect.asVoid(rangeOf(exchange, 0, size, size))

/**
 * The same bytes in pieces of a useful size: small chunks are joined, large ones split.
 */
import { Bytes, Stream } from "effect"

export interface PieceSizes {
  /** Chunks are joined until they have so many bytes; the last piece may have less. */
  readonly atLeast: number
  /** No piece has more. */
  readonly atMost: number
}

interface Waiting {
  readonly chunks: ReadonlyArray<Uint8Array>
  readonly bytes: number
}

const nothing: Waiting = { chunks: [], bytes: 0 }

const split = (bytes: Uint8Array, atMost: number): ReadonlyArray<Uint8Array> =>
  Array.from({ length: Math.ceil(bytes.length / atMost) }, (_, index) =>
    bytes.subarray(index * atMost, (index + 1) * atMost)
  )

const joined = ({ chunks }: Waiting): Uint8Array =>
  chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Bytes.concat(chunks)

/** Never holds more than `atLeast` bytes and one chunk. */
export const inPieces =
  ({ atLeast, atMost }: PieceSizes) =>
  <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Uint8Array, E, R> =>
    bytes.pipe(
      Stream.mapAccum(
        () => nothing,
        (waiting, chunk) => {
          const more = { chunks: [...waiting.chunks, chunk], bytes: waiting.bytes + chunk.length }
          return more.bytes < atLeast ? [more, []] : [nothing, split(joined(more), atMost)]
        },
        { onHalt: (waiting) => (waiting.bytes === 0 ? [] : split(joined(waiting), atMost)) }
      ),
      Stream.rechunk(1)
    )

/**
 * Takes the compressed bytes of neighbouring spans apart, and hashes each span as it passes.
 */
import { Stream } from "effect"
import { createHash, type Hash } from "node:crypto"
import type { Span } from "../services/Ztoc.ts"

export interface CompressedSpan {
  readonly span: Span
  readonly bytes: Uint8Array
  /** Of the bytes that came, not of those that were expected. */
  readonly digest: string
}

/**
 * From the bytes that begin where the first of the spans begins, to the spans themselves, each as soon as its last byte is
 * there. Neighbours share a byte at most. Memory is one span and a chunk; the chunk itself is kept as long as a span that came whole in it. What comes after the last span is left; spans that the
 * bytes do not reach are missing from the output.
 */
export const splitSpans =
  (spans: ReadonlyArray<Span>) =>
  <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<CompressedSpan, E, R> =>
    bytes.pipe(
      Stream.mapAccum(
        () => new Splitter(spans),
        (splitter, chunk) => [splitter, splitter.push(chunk)] as const
      )
    )

/** A span of which only a part has come. */
interface Filling {
  readonly bytes: Uint8Array
  readonly hash: Hash
}

const digestOf = (hash: Hash): string => `sha256:${hash.digest("hex")}`

/** A span that came in one chunk is not copied out of it. */
const cut = (span: Span, chunk: Uint8Array, start: number): Filling => {
  const bytes = chunk.subarray(span.compressedStart - start, span.compressedEnd - start)
  return { bytes, hash: createHash("sha256").update(bytes) }
}

class Splitter {
  private readonly spans: ReadonlyArray<Span>
  private filling: Filling | undefined
  private next = 0
  private offset: number

  constructor(spans: ReadonlyArray<Span>) {
    this.spans = spans
    this.offset = spans[0]?.compressedStart ?? 0
  }

  push(chunk: Uint8Array): ReadonlyArray<CompressedSpan> {
    const start = this.offset
    const end = (this.offset = start + chunk.length)
    const complete: Array<CompressedSpan> = []
    for (;;) {
      const span = this.spans[this.next]
      if (span === undefined || span.compressedStart > end) return complete
      const whole = this.filling === undefined && span.compressedStart >= start && span.compressedEnd <= end
      const part = whole ? cut(span, chunk, start) : this.fill(span, chunk, start)
      // The next span has no byte before the last one of this one.
      if (span.compressedEnd > end) return complete
      this.next++
      this.filling = undefined
      complete.push({ span, bytes: part.bytes, digest: digestOf(part.hash) })
    }
  }

  private fill(span: Span, chunk: Uint8Array, start: number): Filling {
    const size = span.compressedEnd - span.compressedStart
    const filling = (this.filling ??= { bytes: new Uint8Array(size), hash: createHash("sha256") })
    const from = Math.max(span.compressedStart - start, 0)
    const piece = chunk.subarray(from, Math.max(span.compressedEnd - start, from))
    filling.bytes.set(piece, Math.max(start - span.compressedStart, 0))
    filling.hash.update(piece)
    return filling
  }
}

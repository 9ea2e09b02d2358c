/**
 * Which spans to fetch together, and which ahead of their readers.
 */
import type { Span } from "../services/Ztoc.ts"

/** No request has more spans, so that what is known of one stays small however small the spans are. */
export const maxSpansPerRequest = 1024

const compressedBytes = (spans: ReadonlyArray<Span>, first: number, last: number) =>
  (spans[last]?.compressedEnd ?? 0) - (spans[first]?.compressedStart ?? 0)

/**
 * The last span of a request that begins with `first`: neighbours are joined as long as they are wanted and all of them have at
 * most `maxBytes` compressed bytes. One span may be larger.
 */
export const joinNeighbours = (
  spans: ReadonlyArray<Span>,
  first: number,
  maxBytes: number,
  wanted: (span: number) => boolean
): number => {
  let last = first
  while (
    last + 1 < spans.length &&
    last + 1 - first < maxSpansPerRequest &&
    compressedBytes(spans, first, last + 1) <= maxBytes &&
    wanted(last + 1)
  ) {
    last++
  }
  return last
}

/** Takes ascending spans apart into runs of neighbours. */
export const runsOf = (
  ids: ReadonlyArray<number>
): ReadonlyArray<{ readonly first: number; readonly last: number }> => {
  const runs: Array<{ readonly first: number; last: number }> = []
  for (const id of ids) {
    const run = runs.at(-1)
    if (run !== undefined && run.last + 1 === id) run.last = id
    else runs.push({ first: id, last: id })
  }
  return runs
}

interface Reader {
  /** The spans it wanted last. */
  first: number
  last: number
  /** Behind the spans that were read ahead for it: where it will miss next. */
  end: number
  /** Spans to read ahead; 0 until it was seen to go on. */
  window: number
}

/** Readers of one layer that are followed at the same time; the one that was quiet longest is forgotten. */
const maxReaders = 8

/**
 * Tells sequential readers from others by their misses. Each time a reader goes on where it was expected, twice as many spans are
 * read ahead for it (1, 2, 4, ...), up to a number of compressed bytes. One that jumps begins anew, with none.
 */
export class ReadAhead {
  private readonly spans: ReadonlyArray<Span>
  private readonly maxBytes: number
  private readers: ReadonlyArray<Reader> = []

  constructor(spans: ReadonlyArray<Span>, maxBytes: number) {
    this.spans = spans
    this.maxBytes = maxBytes
  }

  /** A reader wants these spans; those after `last` and before the result should be read ahead. */
  wanted(first: number, last: number): number {
    const reader = this.readers.find((one) => first >= one.first && first <= one.end)
    if (reader === undefined) {
      const begun = { first, last, end: last + 1, window: 0 }
      this.readers = [begun, ...this.readers.slice(0, maxReaders - 1)]
      return begun.end
    }
    this.readers = [reader, ...this.readers.filter((one) => one !== reader)]
    // Many wait for the same span: that is not one reader going on.
    if (first === reader.first || last <= reader.last) return reader.end
    reader.window = Math.min(Math.max(reader.window * 2, 1), maxSpansPerRequest)
    reader.first = first
    reader.last = last
    reader.end = Math.max(reader.end, this.endOfWindow(last, reader.window))
    return reader.end
  }

  /** Whether a reader that finds this span local is half through what was read ahead for it. */
  isHalfThrough(span: number): boolean {
    return this.readers.some(
      ({ first, end, window }) => window > 0 && span > first && span < end && 2 * (span - first) >= end - first
    )
  }

  private endOfWindow(last: number, window: number): number {
    let end = last + 1
    while (
      end < this.spans.length &&
      end - last <= window &&
      compressedBytes(this.spans, last + 1, end) <= this.maxBytes
    ) {
      end++
    }
    return end
  }
}

/**
 * Which spans hold a range of the uncompressed stream, and how much of each is wanted.
 */
import type { Span } from "../services/Ztoc.ts"

/** A span with the part of it that is wanted, as offsets into its uncompressed bytes. */
export interface WantedSpan {
  readonly span: Span
  readonly from: number
  readonly to: number
}

/** The last span that begins at or before an offset, by its place in the list. */
export const spanAt = (spans: ReadonlyArray<Span>, offset: number): number => {
  let low = 0
  let high = spans.length
  while (high - low > 1) {
    const middle = (low + high) >>> 1
    if ((spans[middle]?.uncompressedStart ?? 0) <= offset) low = middle
    else high = middle
  }
  return low
}

/** The spans of [start, end), each with at least one byte of it. Ends are exclusive: a span that begins at `end` is not touched. */
export const wantedSpans = (spans: ReadonlyArray<Span>, start: number, end: number): ReadonlyArray<WantedSpan> => {
  if (start >= end || spans.length === 0) return []
  const wanted: Array<WantedSpan> = []
  for (const span of spans.slice(spanAt(spans, start), spanAt(spans, end - 1) + 1)) {
    const from = Math.max(start, span.uncompressedStart) - span.uncompressedStart
    const to = Math.min(end, span.uncompressedEnd) - span.uncompressedStart
    if (from < to) wanted.push({ span, from, to })
  }
  return wanted
}

/** Deflate makes at most 258 bytes of 2 bits. */
const maxRatio = 1032

/** Whether so many compressed bytes can become so many: what cannot be is refused before memory is given to it. */
export const canInflateTo = (compressed: number, uncompressed: number): boolean =>
  uncompressed <= (compressed + 1) * maxRatio

/**
 * The table of a layer's spans in memory that threads share. Nothing is imported at run time, so that a reader thread
 * starts with this file alone.
 */
import type { SpanTable } from "../services/SpanStore.ts"

/** Count of the spans and a word unused. */
const headerBytes = 8

/**
 * A table with no span present. `starts` are the spans' offsets and, last, the end of the stream; they must not descend. A span
 * that ends where it starts has no bytes and is never looked for.
 */
export const makeSpanTable = (starts: ReadonlyArray<number>): SpanTable => {
  const count = starts.length - 1
  const buffer = new SharedArrayBuffer(headerBytes + starts.length * 8 + Math.ceil(count / 32) * 4)
  new Uint32Array(buffer, 0, 1)[0] = count
  const table = viewSpanTable(buffer)
  table.starts.set(starts)
  return table
}

/** The table in a buffer, here or in another thread. */
export const viewSpanTable = (buffer: SharedArrayBuffer): SpanTable => {
  const count = new Uint32Array(buffer, 0, 1)[0] ?? 0
  return {
    buffer,
    count,
    starts: new Float64Array(buffer, headerBytes, count + 1),
    present: new Int32Array(buffer, headerBytes + (count + 1) * 8)
  }
}

/** Where the uncompressed stream ends. */
export const streamEnd = (table: SpanTable): number => table.starts[table.count] ?? 0

/** Whether a span can be read. Once true it stays true. */
export const isPresent = (table: SpanTable, span: number): boolean =>
  (Atomics.load(table.present, span >>> 5) & (1 << (span & 31))) !== 0

/** Says that a span can be read; its bytes must be in the file. */
export const markPresent = (table: SpanTable, span: number): void => {
  Atomics.or(table.present, span >>> 5, 1 << (span & 31))
}

/** The span that holds the byte at an offset inside the stream. */
export const spanAt = (table: SpanTable, offset: number): number => {
  let low = 0
  let high = table.count
  while (high - low > 1) {
    const middle = (low + high) >>> 1
    if ((table.starts[middle] ?? 0) <= offset) low = middle
    else high = middle
  }
  return low
}

/** First and last span of a range, -1 for one without a byte of the stream. */
export const firstSpan = (table: SpanTable, offset: number, length: number): number =>
  length <= 0 || offset + length <= 0 || offset >= streamEnd(table) ? -1 : spanAt(table, Math.max(offset, 0))

export const lastSpan = (table: SpanTable, offset: number, length: number): number =>
  firstSpan(table, offset, length) < 0 ? -1 : spanAt(table, Math.min(offset + length, streamEnd(table)) - 1)

/** Whether each span of a range can be read, so that a plain pread will do. */
export const isLocal = (table: SpanTable, offset: number, length: number): boolean => {
  const first = firstSpan(table, offset, length)
  return first < 0 || areLocal(table, first, lastSpan(table, offset, length))
}

/** Whether each of the spans `first` to `last` can be read. */
export const areLocal = (table: SpanTable, first: number, last: number): boolean => {
  for (let span = first; span <= last; span++) if (!isPresent(table, span)) return false
  return true
}

/**
 * Supplies ranges of a layer where its file may have no room for them: such spans come from memory, one after the other.
 */
import { Effect } from "effect"
import type { LayerSpans, SpanTable, SpanUnavailable } from "../../services/SpanStore.ts"
import { firstSpan, isPresent, lastSpan } from "../../streams/spanTable.ts"
import type { LayerMemory } from "./SpansInMemory.ts"

export interface SupplyOptions {
  readonly table: SpanTable
  readonly memory: LayerMemory
  ensure(first: number, last: number): Effect.Effect<void, SpanUnavailable>
  readFile(start: number, end: number): Effect.Effect<Uint8Array, SpanUnavailable>
}

export const makeSupply = ({ table, memory, ensure, readFile }: SupplyOptions): LayerSpans["supply"] => {
  /** The bytes of a span from `start` to `end`, which it holds. */
  const partOf = Effect.fnUntraced(function* (span: number, start: number, end: number) {
    const spanStart = table.starts[span] ?? 0
    const cut = (bytes: Uint8Array) => bytes.subarray(start - spanStart, end - spanStart)
    const held = isPresent(table, span) ? undefined : memory.get(span)
    if (held !== undefined) return cut(held)
    const fresh = yield* ensure(span, span).pipe(
      Effect.as(undefined),
      Effect.catchIf(isDisk, (error) => {
        const fetched = memory.get(span)
        return fetched === undefined ? Effect.fail(error) : Effect.succeed(fetched)
      })
    )
    return fresh === undefined ? yield* readFile(start, end) : cut(fresh)
  })

  const collect = Effect.fnUntraced(function* (offset: number, length: number) {
    const bytes = new Uint8Array(length)
    const last = lastSpan(table, offset, length)
    for (let span = firstSpan(table, offset, length); span >= 0 && span <= last; span++) {
      const start = Math.max(offset, table.starts[span] ?? 0)
      const end = Math.min(offset + length, table.starts[span + 1] ?? 0)
      if (start < end) bytes.set(yield* partOf(span, start, end), start - offset)
    }
    return bytes
  })

  const isHeld = (first: number, last: number): boolean => {
    for (let span = first; span <= last; span++) if (memory.get(span) !== undefined) return true
    return false
  }

  return (offset, length) =>
    Effect.suspend(() => {
      const first = firstSpan(table, offset, length)
      if (first < 0) return Effect.undefined
      const last = lastSpan(table, offset, length)
      // What is held was fetched for nothing else: it is not fetched again.
      if (isHeld(first, last)) return collect(offset, length)
      return ensure(first, last).pipe(
        Effect.as(undefined),
        Effect.catchIf(isDisk, () => collect(offset, length))
      )
    })
}

const isDisk = (error: SpanUnavailable): boolean => error.kind === "disk"

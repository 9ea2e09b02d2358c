/**
 * Layers over a local file, for tests of mounts: what is held back comes late, or not at all.
 */
import { Deferred, Effect, Result, type Scope } from "effect"
import * as fs from "node:fs/promises"
import type { Layer } from "../../src/services/LayerReader.ts"
import type { LayerSpans } from "../../src/services/SpanStore.ts"
import { SpanUnavailable } from "../../src/services/SpanStore.ts"
import type { TocEntry } from "../../src/services/Ztoc.ts"
import { buildLayerTree } from "../../src/streams/layerTree.ts"
import { isPresent, makeSpanTable, markPresent, spanAt } from "../../src/streams/spanTable.ts"
import { digestOf } from "../../src/streams/verify.ts"
import { temporaryDirectory } from "./temporaryDirectory.ts"

/** A file of a layer that is being put together, and what it holds. */
export interface HeldFile {
  readonly entry: TocEntry
  readonly content?: Uint8Array
}

const blockSize = 512
const spanSize = 64 * 1024

/** A stream as a tar has it, without its headers: contents one after the other, each at the start of a block. */
const streamOf = (files: ReadonlyArray<HeldFile>) => {
  let at = blockSize
  const entries = files.map(({ entry, content }) => {
    if (content === undefined) return entry
    const offset = at
    at += Math.ceil(content.length / blockSize) * blockSize
    return { ...entry, offset, size: content.length }
  })
  const stream = Buffer.alloc(at)
  for (const [index, { content }] of files.entries()) if (content) stream.set(content, entries[index]?.offset ?? 0)
  return { entries, stream }
}

export interface HeldLayer extends Layer {
  readonly stream: Uint8Array
  /** Makes a span local, and lets go who waits for it. */
  release(span: number): Effect.Effect<void>
  /** Fails who waits for a span, once. */
  refuse(span: number): Effect.Effect<void>
  /** Reads that wait at this moment, and those that were given up. */
  readonly waiting: () => number
  readonly interrupted: () => number
  /** Succeeds once that many reads wait. */
  untilWaiting(count: number): Effect.Effect<void>
  untilInterrupted(count: number): Effect.Effect<void>
}

/** A layer of which all is local, or nothing (`held`). */
export const heldLayer = Effect.fnUntraced(function* (
  files: ReadonlyArray<HeldFile>,
  options: { readonly held?: boolean } = {}
): Effect.fn.Return<HeldLayer, never, Scope.Scope> {
  const { entries, stream } = streamOf(files)
  const tree = Result.getOrThrow(buildLayerTree(entries))
  const directory = yield* temporaryDirectory
  const path = `${directory}/stream`
  const held = options.held ?? false
  yield* Effect.promise(() => fs.writeFile(path, held ? new Uint8Array(0) : stream))
  yield* Effect.promise(() => fs.truncate(path, stream.length))

  const count = Math.max(Math.ceil(stream.length / spanSize), 1)
  const table = makeSpanTable(Array.from({ length: count + 1 }, (_, span) => Math.min(span * spanSize, stream.length)))
  if (!held) for (let span = 0; span < count; span++) markPresent(table, span)

  const digest = digestOf(stream)
  const gates = new Map<number, Deferred.Deferred<void, SpanUnavailable>>()
  const gateOf = (span: number) => {
    const gate = gates.get(span) ?? Deferred.makeUnsafe<void, SpanUnavailable>()
    gates.set(span, gate)
    return gate
  }
  let waiting = 0
  let interrupted = 0
  const ensure: LayerSpans["ensure"] = (offset, length) =>
    Effect.suspend(() => {
      waiting++
      const last = spanAt(table, offset + length - 1)
      const spans = Array.from({ length: last - spanAt(table, offset) + 1 }, (_, i) => spanAt(table, offset) + i)
      const missing = spans.filter((span) => !isPresent(table, span))
      return Effect.forEach(missing, (span) => Deferred.await(gateOf(span)), { discard: true })
    }).pipe(
      Effect.onInterrupt(() => Effect.sync(() => interrupted++)),
      Effect.ensuring(Effect.sync(() => waiting--))
    )

  const spans: LayerSpans = {
    layer: digest,
    path,
    size: stream.length,
    table,
    ensure,
    supply: (offset, length) => Effect.as(ensure(offset, length), undefined),
    read: (offset, length) => Effect.as(ensure(offset, length), stream.subarray(offset, offset + length)),
    hold: Effect.void,
    fill: () => Effect.succeed(false),
    stats: Effect.succeed({ spans: count, spansLocal: 0, fetchedBytes: 0, requests: 0, digestMismatches: 0 })
  }
  const until = (count: () => number, wanted: number): Effect.Effect<void> =>
    Effect.suspend(() =>
      count() >= wanted ? Effect.void : Effect.andThen(Effect.sleep("5 millis"), until(count, wanted))
    )
  return {
    tree,
    spans,
    stream,
    readFile: () => Effect.die(new Error("a kernel reads this layer")),
    release: (span) =>
      Effect.gen(function* () {
        const file = yield* Effect.acquireRelease(
          Effect.promise(() => fs.open(path, "r+")),
          (file) => Effect.promise(() => file.close())
        )
        const start = span * spanSize
        const bytes = stream.subarray(start, Math.min(start + spanSize, stream.length))
        yield* Effect.promise(() => file.write(bytes, 0, bytes.length, start))
        markPresent(table, span)
        yield* Deferred.succeed(gateOf(span), undefined)
      }).pipe(Effect.scoped),
    refuse: (span) =>
      Effect.suspend(() => {
        const gate = gateOf(span)
        gates.delete(span)
        return Deferred.fail(gate, new SpanUnavailable({ layer: digest, span, kind: "network", reason: "no network" }))
      }),
    waiting: () => waiting,
    interrupted: () => interrupted,
    untilWaiting: (count) => until(() => waiting, count),
    untilInterrupted: (count) => until(() => interrupted, count)
  }
})

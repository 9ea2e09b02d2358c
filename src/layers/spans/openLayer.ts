/**
 * Opens a layer's spans: its ztoc is checked, the front of its blob looked at, its file and table made and its actor
 * started. All of it ends with the scope.
 */
import { Effect, Result, type Scope, type Semaphore, Stream } from "effect"
import { causeMessage } from "../../services/causeMessage.ts"
import type { Digest } from "../../services/Descriptor.ts"
import type { Inflate } from "../../services/Inflate.ts"
import type { RemoteBlob } from "../../services/RemoteBlob.ts"
import {
  type LayerSpans,
  type LayerToOpen,
  type SpanStoreFailed,
  type SpanTable,
  SpanUnavailable
} from "../../services/SpanStore.ts"
import { InvalidZtoc, type Span, type Ztoc } from "../../services/Ztoc.ts"
import { parseGzipHeader } from "../../streams/codec/gzipHeader.ts"
import { spansOf } from "../../streams/codec/zinfo.ts"
import { firstSpan, isPresent, lastSpan, makeSpanTable, markPresent, streamEnd } from "../../streams/spanTable.ts"
import { joinNeighbours } from "../../streams/spanPlan.ts"
import type { Demand } from "./Demand.ts"
import { type FetchOptions, makeFetchSpans, unavailable } from "./fetchSpans.ts"
import { makeLayerActor } from "./layerActor.ts"
import type { KeptLayer } from "./keptSpans.ts"
import type { SpanFile } from "./SpanFile.ts"
import type { LedgerLimits } from "./SpanLedger.ts"
import type { SpanQuota } from "./SpanQuota.ts"
import type { SpansInMemory } from "./SpansInMemory.ts"
import { makeSupply } from "./supply.ts"

export interface OpenLayerOptions {
  readonly files: LayerFiles
  readonly memory: SpansInMemory
  readonly quota: SpanQuota | undefined
  readonly demand: Demand
  readonly limits: LedgerLimits
  readonly readAheadBytes: number
  readonly verificationRetries: number
  readonly inflate: Inflate["Service"]
  readonly inflates: Semaphore.Semaphore
}

/** Where layers have their files. */
export interface LayerFiles {
  /** The file of a layer that is read in this way: with what it held, where it is kept. */
  open(layer: Digest, identity: string, kept: KeptLayer): Effect.Effect<SpanFile, SpanStoreFailed, Scope.Scope>
}

/** An open layer, and the set of blobs it is read from: whoever opens it adds one and takes it away again. */
export interface SharedLayer {
  readonly layer: LayerSpans
  readonly sources: Set<RemoteBlob>
}

const tarBlock = 512

export const openLayer = Effect.fn("SpanStore.openLayer")(function* (
  options: OpenLayerOptions,
  { digest, ztoc, blob }: LayerToOpen,
  identity: string
): Effect.fn.Return<SharedLayer, InvalidZtoc | SpanStoreFailed | SpanUnavailable, Scope.Scope> {
  const { spans, zinfo } = yield* Effect.fromResult(spansOf(ztoc))
  if (spans.length === 0 && ztoc.uncompressedArchiveSize > 0) {
    const reason = `${ztoc.uncompressedArchiveSize} bytes in no spans`
    return yield* new InvalidZtoc({ stage: "spans", field: "uncompressed_archive_size", reason })
  }
  const table = tableOf(ztoc, spans)
  const size = Math.ceil(streamEnd(table) / tarBlock) * tarBlock
  const file = yield* options.files.open(digest, identity, { size, starts: table.starts })
  // Who kept spans had looked at the front.
  if (!markKept(table, file)) yield* checkFront({ digest, ztoc, blob }, spans)
  const sources = new Set<RemoteBlob>()
  const counts = { fetchedBytes: 0, requests: 0, digestMismatches: 0 }
  const memory = options.memory.of(identity)
  const fetchOptions: FetchOptions = { ...options, memory, layer: digest, table, spans, zinfo, sources, file, counts }
  const actor = yield* makeLayerActor({
    table,
    spans,
    limits: options.limits,
    readAheadBytes: options.readAheadBytes,
    demand: options.demand,
    closed: (span) => unavailable(digest, span, "closed", "the layer was closed"),
    fetch: makeFetchSpans(fetchOptions)
  })

  const ensure: LayerSpans["ensure"] = (offset, length) => {
    const first = firstSpan(table, offset, length)
    return first < 0 ? Effect.void : actor.ensure(first, lastSpan(table, offset, length))
  }
  const readFile = (start: number, end: number) =>
    file.read(start, end - start).pipe(
      Effect.mapError((cause) => {
        const reason = `${file.path}: ${causeMessage(cause)}`
        return unavailable(digest, firstSpan(table, start, end - start), "disk", reason, cause)
      })
    )
  const supply = makeSupply({ table, memory, ensure: actor.ensure, readFile })
  const read: LayerSpans["read"] = Effect.fnUntraced(function* (offset, length) {
    const start = Math.max(offset, 0)
    const end = Math.min(offset + length, size)
    if (start >= end) return new Uint8Array(0)
    return (yield* supply(start, end - start)) ?? (yield* readFile(start, end))
  })
  const fill: LayerSpans["fill"] = (bytes) =>
    Effect.suspend(() => {
      const first = nextMissing(table, actor.wantedLast() + 1)
      if (first < 0) return Effect.succeed(false)
      const last = joinNeighbours(spans, first, bytes, (span) => !isPresent(table, span))
      return Effect.as(actor.fill(first, last), true)
    })
  const stats: LayerSpans["stats"] = Effect.sync(() => ({
    spans: table.count,
    spansLocal: countPresent(table),
    ...counts
  }))
  return {
    layer: { layer: digest, path: file.path, size, table, ensure, supply, read, fill, hold: file.hold, stats },
    sources
  }
})

/**
 * Where the spans begin, none behind the end of the archive: the stream may go on there, but nothing needs it. Spans without a byte
 * of the archive have nothing to wait for.
 */
const tableOf = (ztoc: Ztoc, spans: ReadonlyArray<Span>): SpanTable => {
  const end = ztoc.uncompressedArchiveSize
  const table = makeSpanTable([...spans.map(({ uncompressedStart }) => Math.min(uncompressedStart, end)), end])
  for (let span = 0; span < table.count; span++) {
    if (table.starts[span] === table.starts[span + 1]) markPresent(table, span)
  }
  return table
}

/** Whether any span of the layer is there from earlier. */
const markKept = (table: SpanTable, file: SpanFile): boolean => {
  let some = false
  for (let span = 0; span < table.count; span++) {
    if (!file.isKept(span)) continue
    some = true
    markPresent(table, span)
  }
  return some
}

/** The first missing span from `start` on, or else in front of it; -1 if there is none. */
const nextMissing = (table: SpanTable, start: number): number => {
  for (let span = start; span < table.count; span++) if (!isPresent(table, span)) return span
  for (let span = 0; span < Math.min(start, table.count); span++) if (!isPresent(table, span)) return span
  return -1
}

const countPresent = (table: SpanTable): number => {
  let present = 0
  for (let span = 0; span < table.count; span++) if (isPresent(table, span)) present++
  return present
}

/** No span covers the bytes in front of the first one: for gzip they must be a whole header. */
export const checkFront = Effect.fnUntraced(function* (
  { digest, ztoc, blob }: { readonly digest: string; readonly ztoc: Ztoc; readonly blob: Pick<RemoteBlob, "read"> },
  spans: ReadonlyArray<Span>
): Effect.fn.Return<void, InvalidZtoc | SpanUnavailable> {
  const length = spans[0]?.compressedStart ?? 0
  if (ztoc.compressionAlgorithm !== "gzip") return
  const front = new Uint8Array(length)
  let arrived = 0
  yield* blob.read(0, length).pipe(
    Stream.runForEach((chunk) =>
      Effect.sync(() => {
        front.set(chunk.subarray(0, length - arrived), arrived)
        arrived = Math.min(arrived + chunk.length, length)
      })
    ),
    Effect.mapError((cause) => unavailable(digest, 0, "network", cause.message, cause))
  )
  const header = parseGzipHeader(front.subarray(0, arrived))
  if (Result.isSuccess(header) && header.success.length === length) return
  const found = Result.isSuccess(header) ? `a header of ${header.success.length} bytes` : header.failure.reason
  return yield* new InvalidZtoc({
    stage: "spans",
    field: "checkpoints[0]",
    reason: `the layer has no gzip header of ${length} bytes: ${found}`
  })
})

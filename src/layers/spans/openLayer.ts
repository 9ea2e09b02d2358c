/**
 * Opens a layer's spans: its ztoc is checked, the front of its blob looked at, its file and table made and its actor
 * started. All of it ends with the scope.
 */
import { Effect, Result, type Scope, type Semaphore, Stream } from "effect"
import { causeMessage } from "../../services/causeMessage.ts"
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
import { type FetchOptions, makeFetchSpans, unavailable } from "./fetchSpans.ts"
import { makeLayerActor } from "./layerActor.ts"
import { makeSpanFile } from "./SpanFile.ts"
import type { LedgerLimits } from "./SpanLedger.ts"

export interface OpenLayerOptions {
  readonly directory: string
  readonly limits: LedgerLimits
  readonly readAheadBytes: number
  readonly verificationRetries: number
  readonly inflate: Inflate["Service"]
  readonly inflates: Semaphore.Semaphore
}

/** An open layer, and the set of blobs it is read from: whoever opens it adds one and takes it away again. */
export interface SharedLayer {
  readonly layer: LayerSpans
  readonly sources: Set<RemoteBlob>
}

const tarBlock = 512

export const openLayer = Effect.fn("SpanStore.openLayer")(function* (
  options: OpenLayerOptions,
  { digest, ztoc, blob }: LayerToOpen
): Effect.fn.Return<SharedLayer, InvalidZtoc | SpanStoreFailed | SpanUnavailable, Scope.Scope> {
  const { spans, zinfo } = yield* Effect.fromResult(spansOf(ztoc))
  if (spans.length === 0 && ztoc.uncompressedArchiveSize > 0) {
    const reason = `${ztoc.uncompressedArchiveSize} bytes in no spans`
    return yield* new InvalidZtoc({ stage: "spans", field: "uncompressed_archive_size", reason })
  }
  yield* checkFront({ digest, ztoc, blob }, spans)
  const table = tableOf(ztoc, spans)
  const size = Math.ceil(streamEnd(table) / tarBlock) * tarBlock
  const file = yield* makeSpanFile(options.directory, digest, size)
  const sources = new Set<RemoteBlob>()
  const counts = { fetchedBytes: 0, requests: 0, digestMismatches: 0 }
  const fetchOptions: FetchOptions = { ...options, layer: digest, table, spans, zinfo, sources, file, counts }
  const actor = yield* makeLayerActor({
    table,
    spans,
    limits: options.limits,
    readAheadBytes: options.readAheadBytes,
    closed: (span) => unavailable(digest, span, "closed", "the layer was closed"),
    fetch: makeFetchSpans(fetchOptions)
  })

  const ensure: LayerSpans["ensure"] = (offset, length) => {
    const first = firstSpan(table, offset, length)
    return first < 0 ? Effect.void : actor.ensure(first, lastSpan(table, offset, length))
  }
  const read: LayerSpans["read"] = Effect.fnUntraced(function* (offset, length) {
    const start = Math.max(offset, 0)
    const end = Math.min(offset + length, size)
    if (start >= end) return new Uint8Array(0)
    yield* ensure(start, end - start)
    return yield* file.read(start, end - start).pipe(
      Effect.mapError((cause) => {
        const reason = `${file.path}: ${causeMessage(cause)}`
        return unavailable(digest, firstSpan(table, start, end - start), "disk", reason, cause)
      })
    )
  })
  const stats: LayerSpans["stats"] = Effect.sync(() => ({
    spans: table.count,
    spansLocal: countPresent(table),
    ...counts
  }))
  return { layer: { layer: digest, path: file.path, size, table, ensure, read, stats }, sources }
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

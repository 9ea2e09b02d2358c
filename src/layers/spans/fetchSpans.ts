/**
 * Fetches the spans of one request: bytes from a source, taken apart, verified, inflated and written as they arrive.
 *
 * Nothing that was not verified is inflated. A span whose bytes are wrong is fetched again, from another source if there is one. All
 * other failures of a source end its use for this request; the last source's failure is the answer.
 */
import { Effect, Metric, Result, Semaphore, Stream } from "effect"
import { causeMessage } from "../../services/causeMessage.ts"
import type { Inflate } from "../../services/Inflate.ts"
import { BlobReadFailed, type RemoteBlob } from "../../services/RemoteBlob.ts"
import { type SpanTable, SpanUnavailable } from "../../services/SpanStore.ts"
import type { Span, Zinfo } from "../../services/Ztoc.ts"
import { runsOf } from "../../streams/spanPlan.ts"
import { type CompressedSpan, splitSpans } from "../../streams/splitSpans.ts"
import type { SpanReport } from "./layerActor.ts"
import type { SpanFile } from "./SpanFile.ts"
import type { SpanRequest } from "./SpanLedger.ts"
import type { SpanQuota } from "./SpanQuota.ts"
import type { LayerMemory } from "./SpansInMemory.ts"

/** Spans of one request that are inflated or written at the same time, while the next one arrives. */
const spansInWork = 2

const fetchedBytes = Metric.counter("span_fetched_bytes", {
  description: "Compressed bytes of spans that came from remote blobs, repeated fetches included",
  incremental: true
})
const localSpans = Metric.counter("spans_local", {
  description: "Spans that were verified, inflated and written",
  incremental: true
})
const mismatches = Metric.counter("span_digest_mismatches", {
  description: "Spans whose bytes were not those of the ztoc",
  incremental: true
})

/** Counts of an open layer; each change is one synchronous step. */
export interface SpanCounts {
  fetchedBytes: number
  requests: number
  digestMismatches: number
}

/** What it takes to inflate a span. */
export interface SpanDecoding {
  /** What the layer is, for messages. */
  readonly layer: string
  readonly zinfo: Zinfo
  readonly inflate: Inflate["Service"]
}

export interface FetchOptions extends SpanDecoding {
  readonly table: SpanTable
  readonly spans: ReadonlyArray<Span>
  /** Where the layer can be read at the moment, in order of preference. */
  readonly sources: ReadonlySet<RemoteBlob>
  readonly file: SpanFile
  readonly inflates: Semaphore.Semaphore
  /** For what the disk has no room for. */
  readonly memory: LayerMemory
  readonly quota: SpanQuota | undefined
  /** How often a span with wrong bytes is fetched again. */
  readonly verificationRetries: number
  readonly counts: SpanCounts
}

export const makeFetchSpans = (options: FetchOptions) =>
  Effect.fn("SpanStore.fetch")(function* (request: SpanRequest, report: SpanReport) {
    const { layer, spans, sources } = options
    yield* Effect.annotateCurrentSpan({ layer, first: request.first, last: request.last })
    const remaining = new Set<number>()
    for (let span = request.first; span <= request.last; span++) remaining.add(span)
    const settle = settleSpan(options, report, remaining)
    const given = new Map<RemoteBlob, BlobReadFailed>()

    for (let round = 0; remaining.size > 0; round++) {
      const usable = [...sources].filter((source) => !given.has(source))
      const source = usable[round % usable.length]
      if (source === undefined) {
        const cause = [...given.values()].at(-1)
        const error = (span: number) =>
          unavailable(layer, span, "network", cause?.message ?? "no source is open", cause)
        return yield* Effect.forEach(remaining, (span) => report.failed(span, error(span)), { discard: true })
      }
      for (const { first, last } of runsOf([...remaining])) {
        const wanted = spans.slice(first, last + 1)
        const outcome = yield* Effect.result(readRun(options, source, wanted, settle))
        if (Result.isFailure(outcome)) {
          given.set(source, outcome.failure)
          break
        }
      }
    }
  })

type Settle = (span: CompressedSpan) => Effect.Effect<void>

/** Reads neighbouring spans from a source; each of them is handed on as soon as it is complete. */
const readRun = (
  { counts }: FetchOptions,
  source: RemoteBlob,
  wanted: ReadonlyArray<Span>,
  settle: Settle
): Effect.Effect<void, BlobReadFailed> =>
  Effect.suspend(() => {
    const start = wanted[0]?.compressedStart ?? 0
    const length = (wanted.at(-1)?.compressedEnd ?? start) - start
    let arrived = 0
    let failure: BlobReadFailed | undefined
    counts.requests++
    return source.read(start, length).pipe(
      Stream.tap((chunk) => {
        arrived += chunk.length
        counts.fetchedBytes += chunk.length
        if (arrived > length) return Effect.fail(lengthMismatch(source, start, length, arrived))
        return Metric.update(fetchedBytes, chunk.length)
      }),
      // The spans that came whole before a failure are brought to their end.
      Stream.catch((error) => {
        failure = error
        return Stream.empty
      }),
      splitSpans(wanted),
      Stream.mapEffect(settle, { concurrency: spansInWork, unordered: true }),
      Stream.runDrain,
      Effect.flatMap(() => {
        if (failure === undefined && arrived < length) failure = lengthMismatch(source, start, length, arrived)
        return failure === undefined ? Effect.void : Effect.fail(failure)
      })
    )
  })

const lengthMismatch = (source: RemoteBlob, offset: number, length: number, arrived: number) =>
  new BlobReadFailed({ blob: source.location, offset, length, reason: `${arrived} of ${length} bytes came` })

/** Brings a span to its end, unless its bytes are wrong and may be fetched again: then it stays among the remaining. */
const settleSpan = (options: FetchOptions, report: SpanReport, remaining: Set<number>): Settle => {
  const { layer, verificationRetries, counts } = options
  const wrong = new Map<number, number>()
  return Effect.fnUntraced(function* (compressed) {
    const { span, digest } = compressed
    if (digest === span.digest) {
      const failure = yield* Effect.flip(makeLocal(options, compressed)).pipe(Effect.option)
      remaining.delete(span.id)
      return yield* failure._tag === "None" ? report.landed(span.id) : report.failed(span.id, failure.value)
    }
    counts.digestMismatches++
    yield* Metric.update(mismatches, 1)
    yield* Effect.logWarning("span digests do not match").pipe(
      Effect.annotateLogs({ layer, span: span.id, expected: span.digest, actual: digest })
    )
    const times = (wrong.get(span.id) ?? 0) + 1
    wrong.set(span.id, times)
    if (times <= verificationRetries) return
    remaining.delete(span.id)
    yield* report.failed(
      span.id,
      new SpanUnavailable({
        layer,
        span: span.id,
        kind: "digest",
        reason: `span digests do not match after ${times} fetches`,
        expectedDigest: span.digest,
        actualDigest: digest
      })
    )
  })
}

/** Inflates a verified span and writes it; only what lies inside the archive. */
const makeLocal = Effect.fnUntraced(function* (options: FetchOptions, { span, bytes }: CompressedSpan) {
  const { layer, table, inflates } = options
  const start = table.starts[span.id] ?? 0
  const length = (table.starts[span.id + 1] ?? start) - start
  const content = yield* inflates.withPermit(contentOf(options, span.id, bytes, length))
  yield* writeSpan(options, span.id, content, start).pipe(
    Effect.catch((cause) => {
      options.memory.put(span.id, content)
      return Effect.fail(unavailable(layer, span.id, "disk", `${options.file.path}: ${causeMessage(cause)}`, cause))
    })
  )
  options.memory.delete(span.id)
  yield* Metric.update(localSpans, 1)
})

/** Where the disk is full, layers that nobody reads make room, once. */
const writeSpan = ({ file, quota }: FetchOptions, span: number, content: Uint8Array, start: number) => {
  const write = Effect.andThen(file.write(content, start), file.keep(span))
  if (quota === undefined) return write
  return write.pipe(
    Effect.catchIf(isDiskFull, () => Effect.andThen(quota.reclaim(reclaimedAtOnce), write)),
    Effect.andThen(quota.wrote(content.length))
  )
}

/** More than one span: the next ones want room too. */
const reclaimedAtOnce = 64 * 1024 * 1024

const isDiskFull = (cause: unknown): boolean =>
  cause instanceof Error && "code" in cause && (cause.code === "ENOSPC" || cause.code === "EDQUOT")

/** What the compressed bytes of a span become; of `length` bytes, which may be fewer than the span's. */
export const contentOf = (
  { layer, zinfo, inflate }: SpanDecoding,
  span: number,
  compressed: Uint8Array,
  length: number
): Effect.Effect<Uint8Array, SpanUnavailable> => {
  if (zinfo.algorithm === "uncompressed") {
    return compressed.length < length
      ? Effect.fail(unavailable(layer, span, "inflate", `the layer has ${compressed.length} of its ${length} bytes`))
      : Effect.succeed(compressed.subarray(0, length))
  }
  const checkpoint = zinfo.checkpoints[span]
  if (checkpoint === undefined) return Effect.fail(unavailable(layer, span, "inflate", "it has no checkpoint"))
  const { bits, window } = checkpoint
  return inflate
    .inflate({ compressed, bits, window, length })
    .pipe(Effect.mapError((cause) => unavailable(layer, span, "inflate", cause.message, cause)))
}

export const unavailable = (
  layer: string,
  span: number,
  kind: SpanUnavailable["kind"],
  reason: string,
  cause?: unknown
) => new SpanUnavailable({ layer, span, kind, reason, ...(cause === undefined ? {} : { cause }) })

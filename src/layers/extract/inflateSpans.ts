/**
 * The uncompressed bytes of neighbouring spans in order, inflated on several cores: checkpoints let each span be inflated by itself.
 */
import { Effect, Stream } from "effect"
import type { LayerBytes } from "../../services/ZtocReader.ts"
import { SpanUnavailable } from "../../services/SpanStore.ts"
import { canInflateTo, type WantedSpan } from "../../streams/extractRange.ts"
import { type CompressedSpan, splitSpans } from "../../streams/splitSpans.ts"
import { contentOf, type SpanDecoding, unavailable } from "../spans/fetchSpans.ts"

export interface InflateSpansOptions extends SpanDecoding {
  readonly bytes: LayerBytes
  /** Spans that are inflated at the same time. */
  readonly concurrency: number
}

export interface InflatedSpan {
  readonly wanted: WantedSpan
  /** The wanted bytes of the span. */
  readonly content: Uint8Array
}

/**
 * `wanted` are neighbours. Each is verified before it is inflated, and only as far as it is wanted. Spans arrive no faster than they
 * are taken: beyond those being inflated, as many may wait for the reader.
 */
export const inflateSpans = (
  options: InflateSpansOptions,
  wanted: ReadonlyArray<WantedSpan>
): Stream.Stream<InflatedSpan, SpanUnavailable> => {
  const spans = wanted.map(({ span }) => span)
  const first = spans[0]
  const last = spans.at(-1)
  if (first === undefined || last === undefined) return Stream.empty
  const { layer, bytes } = options
  const start = first.compressedStart
  const length = last.compressedEnd - start
  return Stream.suspend(() => {
    let seen = 0
    const ended = Effect.suspend(() => {
      const missing = spans[seen]
      return missing === undefined
        ? Effect.void
        : Effect.fail(unavailable(layer, missing.id, "network", `${bytes.location} ends before it`))
    })
    return bytes.read(start, length).pipe(
      Stream.mapError((cause) => unavailable(layer, first.id + seen, "network", cause.message, cause)),
      splitSpans(spans),
      Stream.tap(() => Effect.sync(() => seen++)),
      Stream.mapEffect((compressed) => inflateSpan(options, compressed, wanted[compressed.span.id - first.id]), {
        concurrency: options.concurrency
      }),
      Stream.onEnd(ended)
    )
  })
}

const inflateSpan = Effect.fnUntraced(function* (
  options: InflateSpansOptions,
  { span, bytes, digest }: CompressedSpan,
  wanted: WantedSpan | undefined
): Effect.fn.Return<InflatedSpan, SpanUnavailable> {
  const { layer } = options
  if (wanted === undefined) return yield* Effect.die(new Error(`span ${span.id} was not asked for`))
  if (digest !== span.digest) {
    return yield* new SpanUnavailable({
      layer,
      span: span.id,
      kind: "digest",
      reason: `span digests do not match at bytes ${span.compressedStart} to ${span.compressedEnd}`,
      expectedDigest: span.digest,
      actualDigest: digest
    })
  }
  if (!canInflateTo(bytes.length, wanted.to)) {
    const reason = `${bytes.length} compressed bytes cannot become ${wanted.to}`
    return yield* unavailable(layer, span.id, "inflate", reason)
  }
  const content = yield* contentOf(options, span.id, bytes, wanted.to)
  return { wanted, content: content.subarray(wanted.from) }
})

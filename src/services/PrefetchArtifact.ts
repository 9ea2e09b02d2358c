/**
 * A prefetch artifact: the spans of one layer that a node shall fetch before they are read (index-and-artifacts spec, section 7).
 *
 * It does not say which layer it is for: the SOCI index that lists it does. Its numbers are those of its writer; whoever uses
 * them holds them against the ztoc of the layer.
 */
import { Schema } from "effect"

/** The only version there is. */
export const prefetchVersion = "1.0"

/** A span number is a signed 32-bit integer; nothing says that a range is not empty or lies in the layer. */
const SpanNumber = Schema.Int.check(Schema.isBetween({ minimum: -0x8000_0000, maximum: 0x7fff_ffff }))

export const PrefetchSpan = Schema.Struct({
  startSpan: SpanNumber,
  /** Inclusive. */
  endSpan: SpanNumber,
  /** Lower is more urgent; 0 where nothing is said. */
  priority: Schema.Int
})
export type PrefetchSpan = typeof PrefetchSpan.Type

export interface PrefetchArtifact {
  readonly version: string
  readonly spans: ReadonlyArray<PrefetchSpan>
}

/** The bytes are no prefetch artifact that we know; or one is to be written that is empty. */
export class InvalidPrefetchArtifact extends Schema.TaggedError<InvalidPrefetchArtifact>()("InvalidPrefetchArtifact", {
  kind: Schema.Literals(["too large", "malformed", "unsupported version", "empty"]),
  /** The text of the reference. */
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

/** What a hostile artifact may have: its bytes, and its ranges. */
export const PrefetchLimits = { bytes: 4 * 1024 * 1024, spans: 65_536 } as const

/** How many spans the ranges cover, for listings; empty ranges count as the reference counts them. */
export const coveredSpans = ({ spans }: PrefetchArtifact): number =>
  spans.reduce((sum, { startSpan, endSpan }) => sum + endSpan - startSpan + 1, 0)

/** Checks parsed JSON, as the codec needs it. */
export const checkPrefetchDocument = Schema.decodeUnknownResult(
  Schema.Struct({
    version: Schema.String,
    prefetch_spans: Schema.Array(Schema.Struct({ start_span: SpanNumber, end_span: SpanNumber, priority: Schema.Int }))
  })
)

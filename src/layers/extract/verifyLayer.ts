/**
 * Holds a layer against its ztoc, all of it, in one pass.
 */
import { Effect, Stream } from "effect"
import type { InvalidTree } from "../../services/LayerTree.ts"
import type { SpanUnavailable } from "../../services/SpanStore.ts"
import { InvalidZtoc, type Span, type Zinfo } from "../../services/Ztoc.ts"
import type { TarHeaderMismatch } from "../../services/ZtocReader.ts"
import type { PlacedEntry } from "../../streams/codec/ztoc.ts"
import { windowSize } from "../../streams/codec/zinfoWriter.ts"
import { HeaderChecks } from "../../streams/extractHeaders.ts"
import { inflateSpans, type InflateSpansOptions } from "./inflateSpans.ts"

export interface LayerToVerify {
  readonly entries: ReadonlyArray<PlacedEntry>
  readonly spans: ReadonlyArray<Span>
  /** Where the archive ends; spans may go on behind it. */
  readonly archiveSize: number
}

/**
 * No digest covers the windows of checkpoints: a wrong one would change content. Here all spans are inflated in order, so each window
 * can be compared with the output before it.
 */
export const verifyLayer = (
  options: InflateSpansOptions,
  { entries, spans, archiveSize }: LayerToVerify
): Effect.Effect<void, InvalidZtoc | InvalidTree | SpanUnavailable | TarHeaderMismatch> =>
  Effect.suspend(() => {
    const headers = new HeaderChecks(entries)
    let window: Uint8Array = new Uint8Array(windowSize)
    const wanted = spans.map((span) => ({ span, from: 0, to: span.uncompressedEnd - span.uncompressedStart }))
    return inflateSpans(options, wanted).pipe(
      Stream.runForEach(
        Effect.fnUntraced(function* ({ wanted: { span }, content }) {
          yield* checkWindow(options.zinfo, span, window)
          window = tailOf(window, content)
          yield* Effect.fromResult(headers.push(content.subarray(0, Math.max(archiveSize - span.uncompressedStart, 0))))
        })
      ),
      Effect.andThen(Effect.suspend(() => Effect.fromResult(headers.end())))
    )
  })

const tailOf = (window: Uint8Array, content: Uint8Array): Uint8Array =>
  content.length >= windowSize
    ? content.slice(content.length - windowSize)
    : Buffer.concat([window.subarray(content.length), content])

const checkWindow = (zinfo: Zinfo, span: Span, window: Uint8Array): Effect.Effect<void, InvalidZtoc> => {
  if (zinfo.algorithm !== "gzip") return Effect.void
  const stored = zinfo.checkpoints[span.id]?.window
  if (stored !== undefined && Buffer.compare(stored, window) === 0) return Effect.void
  return new InvalidZtoc({
    stage: "spans",
    field: `checkpoints[${span.id}].window`,
    reason: `it is not the output in front of ${span.uncompressedStart}, which the span is inflated with`
  })
}

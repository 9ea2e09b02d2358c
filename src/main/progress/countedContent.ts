/**
 * Blobs that tell how far they have been read: what is read of them is on its way from or to a registry.
 */
import { Effect, Stream } from "effect"
import { type Descriptor, hexOf } from "../../services/Descriptor.ts"
import type { GraphContent } from "../../services/GraphPusher.ts"
import type { ProgressBars } from "./ProgressBars.ts"

type Bars = ProgressBars["Service"]

const labelOf = (verb: string, { digest }: Descriptor): string => `${verb} ${hexOf(digest).slice(0, 12)}`

const counted =
  (verb: string, bars: Bars) =>
  <E, R>(descriptor: Descriptor, blob: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Uint8Array, E, R> =>
    Stream.suspend(() => {
      const label = labelOf(verb, descriptor)
      // A transfer that is repeated begins at nothing again.
      let doneBytes = 0
      return Stream.tap(blob, (chunk) => {
        doneBytes += chunk.length
        return bars.advance(label, doneBytes, descriptor.size)
      })
    })

/** Content that is uploaded; `finishUpload` ends the bar of a blob. */
export const countedContent = (content: GraphContent, bars: Bars): GraphContent => ({
  readDocument: content.readDocument,
  readBlob: (descriptor) => counted("upload", bars)(descriptor, content.readBlob(descriptor))
})

/** The bar of an upload that has ended. */
export const finishUpload = (bars: Bars, descriptor: Descriptor): Effect.Effect<void> =>
  bars.finish(labelOf("upload", descriptor))

/** A source whose blobs are fetched to be stored. */
export const countedFetches = <A extends Pick<GraphContent, "readBlob">>(source: A, bars: Bars): A => ({
  ...source,
  readBlob: (descriptor: Descriptor) =>
    counted("fetch", bars)(descriptor, source.readBlob(descriptor)).pipe(
      Stream.ensuring(bars.finish(labelOf("fetch", descriptor)))
    )
})

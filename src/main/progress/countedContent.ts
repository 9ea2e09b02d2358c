/**
 * Content whose blobs tell how far they have been read: what is read of it is being uploaded.
 */
import { Effect, Stream } from "effect"
import { type Descriptor, hexOf } from "../../services/Descriptor.ts"
import type { GraphContent } from "../../services/GraphPusher.ts"
import type { ProgressBars } from "./ProgressBars.ts"

export const uploadLabel = ({ digest }: Descriptor): string => `upload ${hexOf(digest).slice(0, 12)}`

/** An upload that is repeated begins at nothing again. */
export const countedContent = (content: GraphContent, bars: ProgressBars["Service"]): GraphContent => ({
  readDocument: content.readDocument,
  readBlob: (descriptor) =>
    Stream.suspend(() => {
      const label = uploadLabel(descriptor)
      let doneBytes = 0
      return Stream.tap(content.readBlob(descriptor), (chunk) => {
        doneBytes += chunk.length
        return bars.advance(label, doneBytes, descriptor.size)
      })
    })
})

/** The bar of an upload that has ended. */
export const finishUpload = (bars: ProgressBars["Service"], descriptor: Descriptor): Effect.Effect<void> =>
  bars.finish(uploadLabel(descriptor))

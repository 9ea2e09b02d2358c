/**
 * What was built, in front of the image it was built from: all that a push of an index or of a converted image may need.
 */
import { Effect, Stream } from "effect"
import type { ContentStore } from "../services/ContentStore.ts"
import type { GraphContent } from "../services/GraphPusher.ts"
import type { SourceImage } from "../services/ImageSource.ts"

export const builtContent = (store: ContentStore["Service"], image: SourceImage): GraphContent => ({
  readDocument: (descriptor) =>
    Effect.flatMap(store.exists(descriptor.digest), (built) =>
      built ? store.readDocument(descriptor) : image.readDocument(descriptor)
    ),
  readBlob: (descriptor) =>
    Stream.unwrap(
      Effect.map(store.exists(descriptor.digest), (built) =>
        built ? store.read(descriptor) : image.readBlob(descriptor)
      )
    )
})

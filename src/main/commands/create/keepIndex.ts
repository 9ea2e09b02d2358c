/**
 * Keeps the indexes of an image as long as containerd has the image.
 */
import { Effect } from "effect"
import { type Digest, hexOf } from "../../../services/Descriptor.ts"
import type { ImageStore } from "../../../services/ImageStore.ts"

/** Labels of an image of containerd that begin so name its SOCI indexes. */
export const indexLabel = "containerd.io/gc.ref.content.soci-index"

/**
 * Sets a label for each index: with the one label of the reference, containerd keeps only the index that was made last. An index without
 * a label is collected in time, which is worth a warning and no failure: it is there now.
 */
export const keepIndex = (images: ImageStore["Service"], image: string, index: Digest): Effect.Effect<void> =>
  images
    .label(image, { [`${indexLabel}.${hexOf(index).slice(0, 12)}`]: index })
    .pipe(
      Effect.catch(({ message }) => Effect.logWarning(`containerd may collect the SOCI index ${index}: ${message}`))
    )

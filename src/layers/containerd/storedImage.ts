/**
 * An image of containerd as an image that can be indexed, converted, pushed or mounted like one of a registry.
 */
import { Effect } from "effect"
import { ContentStore } from "../../services/ContentStore.ts"
import type { SourceImage } from "../../services/ImageSource.ts"
import { type ImageNotFound, ImageStore, type ImageStoreFailed } from "../../services/ImageStore.ts"
import { imageInStore } from "../imageInStore.ts"

/** `name` is that of the image as containerd has it. The content store has to be containerd's, of the same namespace. */
export const storedImage = Effect.fnUntraced(function* (
  name: string
): Effect.fn.Return<SourceImage, ImageNotFound | ImageStoreFailed, ImageStore | ContentStore> {
  const store = yield* ContentStore
  const { target } = yield* ImageStore.use((images) => images.get(name))
  return imageInStore(store, { _tag: "Stored", name }, target)
})

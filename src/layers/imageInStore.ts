/**
 * An image all of which is in one content store, whatever names it.
 */
import type { ContentStore } from "../services/ContentStore.ts"
import type { Descriptor } from "../services/Descriptor.ts"
import type { ImageName } from "../services/ImageName.ts"
import type { SourceImage } from "../services/ImageSource.ts"

export const imageInStore = (store: ContentStore["Service"], name: ImageName, target: Descriptor): SourceImage => ({
  name,
  target,
  resolveDigest: store.resolve,
  readDocument: store.readDocument,
  readBlob: store.read,
  openBlob: store.open,
  referrers: store.referrers
})

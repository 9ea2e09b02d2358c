/**
 * The `index.json` of a converted image: it names the new image index, and nothing else.
 */
import type { Descriptor } from "../../services/Descriptor.ts"
import { MediaType } from "../../services/MediaType.ts"
import { encodeImageIndex } from "../../streams/codec/imageDocuments.ts"

export const rootIndex = ({ mediaType, digest, size }: Descriptor): Uint8Array =>
  encodeImageIndex({
    schemaVersion: 2,
    mediaType: MediaType.ociIndex,
    manifests: [{ mediaType, digest, size }]
  })

/**
 * All content that belongs to an image: what its indexes and manifests list, from the root down (CLI spec, section 6, steps 7 and 8).
 */
import { Effect } from "effect"
import type { ContentStore } from "../../services/ContentStore.ts"
import type { Descriptor, Digest } from "../../services/Descriptor.ts"
import { MalformedDocument } from "../../services/Image.ts"
import { isIndexType, isManifestType } from "../../services/MediaType.ts"
import { decodeImageIndex, decodeManifest } from "../../streams/codec/imageDocuments.ts"

/** An image index that holds a conversion holds manifests; deeper nests are tolerated, not endless ones. */
const maxDepth = 8
const maxBlobs = 500_000

const childrenOf = Effect.fnUntraced(function* (store: ContentStore["Service"], descriptor: Descriptor) {
  const { mediaType, digest } = descriptor
  if (isIndexType(mediaType)) {
    const index = yield* Effect.fromResult(decodeImageIndex(yield* store.readDocument(descriptor), digest))
    return index.manifests ?? []
  }
  if (!isManifestType(mediaType)) return []
  const manifest = yield* Effect.fromResult(decodeManifest(yield* store.readDocument(descriptor), digest))
  return [manifest.config, ...(manifest.layers ?? [])]
})

/** Each content once, in byte order of the digests. */
export const reachableContent = Effect.fnUntraced(function* (store: ContentStore["Service"], root: Descriptor) {
  const refuse = (reason: string) => new MalformedDocument({ document: root.digest, reason })
  const seen = new Map<Digest, Descriptor>()
  let level: ReadonlyArray<Descriptor> = [root]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > maxDepth) return yield* refuse(`its manifests are nested more than ${maxDepth} deep`)
    const next: Array<Descriptor> = []
    for (const descriptor of level) {
      if (seen.has(descriptor.digest)) continue
      seen.set(descriptor.digest, descriptor)
      if (seen.size > maxBlobs) return yield* refuse(`it consists of more than ${maxBlobs} blobs`)
      next.push(...(yield* childrenOf(store, descriptor)))
    }
    level = next
  }
  return [...seen.values()].sort((left, right) => (left.digest < right.digest ? -1 : 1))
})

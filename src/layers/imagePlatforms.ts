/**
 * The platforms an image says it has (index-and-artifacts spec, 6.4).
 *
 * Children of an index that say their platform are not looked into, and count as they are written; a manifest that does not is for what its
 * configuration says. Attestations (`unknown`) and SOCI indexes are no platforms. What comes twice is listed once.
 */
import { Effect } from "effect"
import type { Descriptor, Platform } from "../services/Descriptor.ts"
import { MalformedDocument } from "../services/Image.ts"
import { formatImageName } from "../services/ImageName.ts"
import type { ImageSourceError, SourceImage } from "../services/ImageSource.ts"
import { isIndexType, isManifestType, MediaType } from "../services/MediaType.ts"
import { decodeImageConfig, decodeImageIndex, decodeManifest } from "../streams/codec/imageDocuments.ts"
import { dedupePlatforms, normalizePlatform } from "../streams/codec/platform.ts"
import { hostPlatform } from "./hostPlatform.ts"

/** An index in an index in an index is the most that is followed. */
const maxDepth = 3

const isUnknown = ({ os, architecture }: Platform): boolean => os === "unknown" || architecture === "unknown"

export const imagePlatforms = Effect.fn("imagePlatforms")(function* (image: SourceImage) {
  const visit = Effect.fnUntraced(function* (
    descriptor: Descriptor,
    depth: number
  ): Effect.fn.Return<ReadonlyArray<Platform>, ImageSourceError> {
    const { mediaType, digest, platform, artifactType } = descriptor
    if (artifactType === MediaType.sociIndexV2) return []
    if (platform !== undefined) return isUnknown(platform) ? [] : [platform]
    if (isIndexType(mediaType)) {
      if (depth === maxDepth) {
        const reason = `indexes are nested more than ${maxDepth} deep`
        return yield* new MalformedDocument({ document: formatImageName(image.name), reason })
      }
      const index = yield* Effect.fromResult(decodeImageIndex(yield* image.readDocument(descriptor), digest))
      return (yield* Effect.forEach(index.manifests ?? [], (child) => visit(child, depth + 1))).flat()
    }
    if (!isManifestType(mediaType)) return []
    const { config } = yield* Effect.fromResult(decodeManifest(yield* image.readDocument(descriptor), digest))
    const said = yield* Effect.fromResult(decodeImageConfig(yield* image.readDocument(config), config.digest))
    const { os = "", architecture = "", variant } = said
    return [normalizePlatform({ os, architecture, ...(variant ? { variant } : {}) }, hostPlatform)]
  })
  return dedupePlatforms(yield* visit(image.target, 0), hostPlatform)
})

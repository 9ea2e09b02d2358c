/**
 * Where a conversion begins: the image as an index, and its manifest for a platform (index-and-artifacts spec, section 5, steps 2 and 4).
 */
import { Effect } from "effect"
import type { PlatformManifest } from "../../services/ArtifactSource.ts"
import type { Descriptor, Platform } from "../../services/Descriptor.ts"
import type { ImageIndex } from "../../services/Image.ts"
import { formatImageName } from "../../services/ImageName.ts"
import type { SourceImage } from "../../services/ImageSource.ts"
import { ConversionRefused } from "../../services/IndexBuilder.ts"
import { isIndexType, isManifestType, MediaType } from "../../services/MediaType.ts"
import { decodeImageConfig, decodeImageIndex, decodeManifest } from "../../streams/codec/imageDocuments.ts"
import { formatPlatform, matchesPlatform, normalizePlatform } from "../../streams/codec/platform.ts"
import { hostPlatform } from "../hostPlatform.ts"

/** A SOCI index among the entries of an image. */
export const isSociIndex = ({ artifactType }: Descriptor): boolean => artifactType === MediaType.sociIndexV2

/** The image as an index: itself, or one around its only manifest, which then gets the platform of its configuration. */
export const startIndex = Effect.fnUntraced(function* (image: SourceImage) {
  const { target } = image
  const bytes = yield* image.readDocument(target)
  if (isIndexType(target.mediaType)) return yield* Effect.fromResult(decodeImageIndex(bytes, target.digest))
  if (!isManifestType(target.mediaType)) {
    const reason = `unexpected media type ${target.mediaType} for ${target.digest}: not found`
    return yield* new ConversionRefused({ image: formatImageName(image.name), reason })
  }
  const manifest = yield* Effect.fromResult(decodeManifest(bytes, target.digest))
  const config = yield* Effect.fromResult(
    decodeImageConfig(yield* image.readDocument(manifest.config), manifest.config.digest)
  )
  const { os = "", architecture = "", variant } = config
  const platform = normalizePlatform({ os, architecture, ...(variant ? { variant } : {}) }, hostPlatform)
  const index: ImageIndex = {
    schemaVersion: 2,
    mediaType: MediaType.ociIndex,
    manifests: [{ ...target, platform }]
  }
  return index
})

/** The manifest of a platform: the first one listed that matches. */
export const findManifest = Effect.fnUntraced(function* (image: SourceImage, start: ImageIndex, platform: Platform) {
  for (const descriptor of start.manifests ?? []) {
    if (isSociIndex(descriptor)) continue
    if (!descriptor.platform) {
      const reason = "manifest should have proper platform"
      return yield* new ConversionRefused({ image: formatImageName(image.name), reason })
    }
    if (!matchesPlatform(platform, descriptor.platform, hostPlatform)) continue
    if (!isManifestType(descriptor.mediaType)) {
      return yield* new ConversionRefused({
        image: formatImageName(image.name),
        reason: `its entry for ${formatPlatform(platform)} is no manifest but ${descriptor.mediaType}`
      })
    }
    const manifest = yield* Effect.fromResult(decodeManifest(yield* image.readDocument(descriptor), descriptor.digest))
    const found: PlatformManifest = { descriptor, manifest }
    return found
  }
  const reason = `image manifest for ${formatPlatform(platform)}: not found`
  return yield* new ConversionRefused({ image: formatImageName(image.name), reason })
})

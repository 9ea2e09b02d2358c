/**
 * Finds the manifest of an image that is for a platform (index-and-artifacts, 6.1 to 6.3).
 *
 * Of an index the first child that matches counts, as it does for the reference; a child that does not say its platform, before
 * that one, is an error. A single manifest is for whatever platform is asked for, unless its descriptor says otherwise.
 */
import { Effect } from "effect"
import type { Descriptor, Platform } from "../services/Descriptor.ts"
import { MalformedDocument, type Manifest } from "../services/Image.ts"
import { formatImageName } from "../services/ImageName.ts"
import { type ImageSourceError, PlatformNotInImage, type SourceImage } from "../services/ImageSource.ts"
import { isIndexType, isManifestType, MediaType } from "../services/MediaType.ts"
import { decodeImageIndex, decodeManifest } from "../streams/codec/imageDocuments.ts"
import { formatPlatform, matchesPlatform } from "../streams/codec/platform.ts"
import { hostPlatform } from "./hostPlatform.ts"

export interface ResolvedManifest {
  readonly descriptor: Descriptor
  readonly manifest: Manifest
}

/** An index in an index in an index is the most that is followed. */
const maxDepth = 3

const isMatch = (platform: Platform, candidate: Platform): boolean => matchesPlatform(platform, candidate, hostPlatform)

/** Platforms that are shown to a user: not those of attestations and of SOCI indexes, which repeat the images'. */
const availableOf = (children: ReadonlyArray<Descriptor>): ReadonlyArray<string> => {
  const shown = children.flatMap(({ platform }) => (platform === undefined ? [] : [formatPlatform(platform)]))
  return [...new Set(shown)].filter((text) => !text.startsWith("unknown"))
}

export const resolvePlatform = Effect.fn("resolvePlatform")(function* (
  image: SourceImage,
  platform: Platform
): Effect.fn.Return<ResolvedManifest, PlatformNotInImage | ImageSourceError> {
  const notFound = (available: ReadonlyArray<string>) =>
    new PlatformNotInImage({ image: formatImageName(image.name), platform: formatPlatform(platform), available })

  let descriptor = image.target
  for (let depth = 0; isIndexType(descriptor.mediaType); depth++) {
    const malformed = (reason: string) => new MalformedDocument({ document: `index ${descriptor.digest}`, reason })
    if (depth === maxDepth) return yield* malformed(`indexes are nested more than ${maxDepth} deep`)
    const bytes = yield* image.readDocument(descriptor)
    const index = yield* Effect.fromResult(decodeImageIndex(bytes, `index ${descriptor.digest}`))
    const children = index.manifests ?? []
    const child = children
      .filter(({ artifactType }) => artifactType !== MediaType.sociIndexV2)
      .find((candidate) => candidate.platform === undefined || isMatch(platform, candidate.platform))
    if (child === undefined) return yield* notFound(availableOf(children))
    if (child.platform === undefined) return yield* malformed("manifest should have proper platform")
    descriptor = child
  }

  if (!isManifestType(descriptor.mediaType)) {
    const reason = `unexpected media type ${descriptor.mediaType} for ${descriptor.digest}`
    return yield* new MalformedDocument({ document: formatImageName(image.name), reason })
  }
  if (descriptor.platform !== undefined && !isMatch(platform, descriptor.platform)) {
    return yield* notFound(availableOf([descriptor]))
  }
  const bytes = yield* image.readDocument(descriptor)
  const manifest = yield* Effect.fromResult(decodeManifest(bytes, `manifest ${descriptor.digest}`))
  return { descriptor, manifest }
})

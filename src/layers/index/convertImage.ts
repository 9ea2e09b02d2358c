/**
 * Converts an image to carry its v2 SOCI indexes (index-and-artifacts spec, section 5): manifests get an annotation that names their
 * index, the indexes stand beside them in a new image index.
 *
 * Unlike the reference, SOCI indexes of an earlier conversion are left as they are, and attestation manifests unless they are to be
 * rewritten (section 14, rows 1 and 2).
 */
import { Effect, Schema, Stream } from "effect"
import type { ArtifactsDb } from "../../services/ArtifactsDb.ts"
import type { ContentStore } from "../../services/ContentStore.ts"
import { type Annotations, type Descriptor, Digest, type Platform } from "../../services/Descriptor.ts"
import type { ImageIndex, Manifest } from "../../services/Image.ts"
import {
  type BuiltIndex,
  ConversionRefused,
  EmptyIndex,
  type IndexBuilder,
  type IndexBuildError,
  type IndexBuildOptions,
  IndexNotKept
} from "../../services/IndexBuilder.ts"
import { formatImageName } from "../../services/ImageName.ts"
import type { SourceImage } from "../../services/ImageSource.ts"
import { isManifestType, MediaType } from "../../services/MediaType.ts"
import { SociAnnotation } from "../../services/SociIndex.ts"
import { decodeManifest, encodeImageIndex, encodeManifest } from "../../streams/codec/imageDocuments.ts"
import { dedupePlatforms, formatPlatform, matchesPlatform } from "../../streams/codec/platform.ts"
import { hostPlatform } from "../hostPlatform.ts"
import { indexRow } from "./artifactRows.ts"
import { findManifest, isSociIndex, startIndex } from "./conversionStart.ts"
import { describeContent } from "./describeContent.ts"
import { makeGcLabels } from "./gcLabels.ts"

type Build = IndexBuilder["Service"]["build"]

const isDigest = Schema.is(Digest)

const isAttestation = ({ platform, annotations }: Descriptor): boolean =>
  annotations?.["vnd.docker.reference.type"] !== undefined ||
  (platform?.os === "unknown" && platform.architecture === "unknown")

export const convertImage =
  (
    store: ContentStore["Service"],
    artifacts: ArtifactsDb["Service"],
    build: Build
  ): IndexBuilder["Service"]["convert"] =>
  (image, platforms, options) =>
    Effect.gen(function* () {
      const name = formatImageName(image.name)
      if (platforms.length === 0) {
        return yield* new ConversionRefused({ image: name, reason: "image does not support any platforms" })
      }
      const start = yield* startIndex(image)
      const wanted = dedupePlatforms(platforms, hostPlatform)
      // Only the new image is a root: it keeps its indexes.
      const indexes = yield* buildIndexes(image, start, wanted, build, { ...options, gcRootLabel: false })
      const annotated = yield* Effect.forEach(start.manifests ?? [], (descriptor) =>
        annotate(image, store, descriptor, indexes, options.attestations ?? "keep")
      )
      const manifests = addIndexes(annotated, start.manifests ?? [], indexes)
      const bytes = encodeImageIndex({ ...start, mediaType: MediaType.ociIndex, manifests })
      const descriptor = describeContent(MediaType.ociIndex, bytes)
      yield* Effect.mapError(
        store.ingest(descriptor, Stream.succeed(bytes)),
        (cause) => new IndexNotKept({ image: name, attempted: "cannot write the image index to local store", cause })
      )
      yield* writeRows(artifacts, descriptor, manifests, indexes)
      const labels = makeGcLabels(store, name)
      yield* labels.image(descriptor.digest, manifests)
      if (options.gcRootLabel) yield* labels.root(descriptor.digest)
      return { descriptor, indexes }
    })

const buildIndexes = Effect.fnUntraced(function* (
  image: SourceImage,
  start: ImageIndex,
  platforms: ReadonlyArray<Platform>,
  build: Build,
  options: IndexBuildOptions
): Effect.fn.Return<ReadonlyArray<BuiltIndex>, IndexBuildError | ConversionRefused> {
  const indexes: Array<BuiltIndex> = []
  const reasons: Array<string> = []
  for (const platform of platforms) {
    const manifest = yield* findManifest(image, start, platform)
    const built = yield* build(image, { ...manifest, platform }, "v2", options).pipe(
      Effect.catchTag("EmptyIndex", (empty) => {
        reasons.push(...empty.reasons)
        return Effect.undefined
      })
    )
    if (built) indexes.push(built)
  }
  if (indexes.length > 0) return indexes
  const platform = platforms.map(formatPlatform).join(", ")
  return yield* new EmptyIndex({ image: formatImageName(image.name), platform, reasons })
})

/** A manifest rewritten to name its index; what is no image manifest, or is not there, stays as it is. */
const annotate = Effect.fnUntraced(function* (
  image: SourceImage,
  store: ContentStore["Service"],
  descriptor: Descriptor,
  indexes: ReadonlyArray<BuiltIndex>,
  attestations: "keep" | "rewrite"
) {
  if (!isManifestType(descriptor.mediaType) || isSociIndex(descriptor)) return descriptor
  if (attestations === "keep" && isAttestation(descriptor)) return descriptor
  const index = indexes.find(({ manifest }) => manifest.digest === descriptor.digest)
  const document = image.readDocument(descriptor)
  const absent = (error: Effect.Error<typeof document>) =>
    index === undefined && (error._tag === "ContentNotFound" || error._tag === "NotInRegistry")
      ? Effect.undefined
      : Effect.fail(error)
  const original = yield* Effect.catch(document, absent)
  if (original === undefined) return descriptor
  const manifest = yield* Effect.fromResult(decodeManifest(original, descriptor.digest))
  const annotations: Annotations | undefined = index
    ? { ...manifest.annotations, [SociAnnotation.indexDigest]: index.descriptor.digest }
    : manifest.annotations
  const rewritten: Manifest = {
    ...manifest,
    mediaType: MediaType.ociManifest,
    config: { ...manifest.config, mediaType: MediaType.ociConfig },
    ...(annotations ? { annotations } : {})
  }
  const bytes = encodeManifest(rewritten)
  const content = describeContent(MediaType.ociManifest, bytes)
  const name = formatImageName(image.name)
  yield* Effect.mapError(
    store.ingest(content, Stream.succeed(bytes)),
    (cause) => new IndexNotKept({ image: name, attempted: "cannot write the manifest to local store", cause })
  )
  yield* makeGcLabels(store, name).manifest(content.digest, manifest.config.digest, manifest.layers ?? [])
  const { annotations: _replaced, ...kept } = descriptor
  return { ...kept, ...content, ...(annotations ? { annotations } : {}) }
})

/**
 * The rows of all indexes in the new image speak of it and of its manifests. Those that were built now have none before: a conversion that
 * fails leaves no row of an index that no image has.
 */
const writeRows = Effect.fnUntraced(function* (
  artifacts: ArtifactsDb["Service"],
  image: Descriptor,
  manifests: ReadonlyArray<Descriptor>,
  indexes: ReadonlyArray<BuiltIndex>
) {
  for (const entry of manifests.filter(isSociIndex)) {
    const manifest = entry.annotations?.[SociAnnotation.imageManifestDigest]
    if (!isDigest(manifest)) continue
    const built = indexes.findLast(
      ({ descriptor, platform }) =>
        descriptor.digest === entry.digest &&
        entry.platform !== undefined &&
        formatPlatform(platform) === formatPlatform(entry.platform)
    )
    if (built !== undefined) {
      const { version, platform } = built
      const row = indexRow(entry, { version, manifest, image: image.digest, platform, location: built.manifest.digest })
      yield* artifacts.write(yield* row)
      continue
    }
    // An index that was converted elsewhere has no row here.
    const to = { originalDigest: manifest, imageDigest: image.digest }
    yield* Effect.catchTag(artifacts.moveIndex(entry.digest, to), "ArtifactNotFound", () => Effect.void)
  }
})

/** Each index behind the manifests, or in the place of an earlier one for the same platform. */
const addIndexes = (
  annotated: ReadonlyArray<Descriptor>,
  originals: ReadonlyArray<Descriptor>,
  indexes: ReadonlyArray<BuiltIndex>
): ReadonlyArray<Descriptor> => {
  const manifests = [...annotated]
  const rewrittenOf = (digest: Digest) => annotated[originals.findIndex((original) => original.digest === digest)]
  for (const { descriptor, manifest, platform } of indexes) {
    const entry: Descriptor = {
      mediaType: descriptor.mediaType,
      digest: descriptor.digest,
      size: descriptor.size,
      annotations: { [SociAnnotation.imageManifestDigest]: rewrittenOf(manifest.digest)?.digest ?? manifest.digest },
      platform,
      artifactType: MediaType.sociIndexV2
    }
    const earlier = manifests.findIndex(
      (other) => isSociIndex(other) && other.platform && matchesPlatform(platform, other.platform, hostPlatform)
    )
    if (earlier < 0) manifests.push(entry)
    else manifests[earlier] = entry
  }
  return manifests
}

/**
 * Finds SOCI indexes in the place the image comes from.
 */
import { Bytes, Effect, Layer, Schema, Stream } from "effect"
import {
  ArtifactSource,
  type FoundIndex,
  type IndexOrigin,
  InvalidIndex,
  NoIndex,
  type PlatformManifest
} from "../services/ArtifactSource.ts"
import { type Descriptor, Digest } from "../services/Descriptor.ts"
import { maxDocumentBytes } from "../services/Image.ts"
import { formatImageName } from "../services/ImageName.ts"
import type { ImageSourceError, SourceImage } from "../services/ImageSource.ts"
import { MediaType } from "../services/MediaType.ts"
import { SociAnnotation, type SociIndex } from "../services/SociIndex.ts"
import { ZtocLimits } from "../services/ZtocLimits.ts"
import { decodeManifest } from "../streams/codec/imageDocuments.ts"
import { decodeZtoc } from "../streams/codec/ztoc.ts"

const isDigest = Schema.is(Digest)

interface Located {
  readonly origin: IndexOrigin
  readonly index: Descriptor
}

/** Where the index of an image is, if it has one: tried in order. */
const locate = Effect.fnUntraced(function* (
  image: SourceImage,
  { descriptor, manifest }: PlatformManifest,
  given: Digest | undefined
): Effect.fn.Return<Located | undefined, InvalidIndex | ImageSourceError> {
  if (given !== undefined) return { origin: "given", index: yield* image.resolveDigest(given) }
  const annotated = manifest.annotations?.[SociAnnotation.indexDigest]
  if (annotated !== undefined) {
    if (!isDigest(annotated)) {
      const reason = `the manifest's annotation ${SociAnnotation.indexDigest} is no sha256 digest`
      return yield* new InvalidIndex({ image: formatImageName(image.name), index: annotated, reason })
    }
    return { origin: "v2 annotation", index: yield* image.resolveDigest(annotated) }
  }
  const [first] = yield* image.referrers(descriptor.digest, MediaType.sociIndexV1)
  return first && { origin: "v1 referrer", index: first }
})

const versions = new Map<string, SociIndex["version"]>([
  [MediaType.sociIndexV1, "v1"],
  [MediaType.sociIndexV2, "v2"]
])

const readIndex = Effect.fnUntraced(function* (image: SourceImage, descriptor: Descriptor) {
  const invalid = (reason: string) =>
    new InvalidIndex({ image: formatImageName(image.name), index: descriptor.digest, reason })
  if (descriptor.size > maxDocumentBytes) return yield* invalid(`${descriptor.size} bytes are too many`)
  const bytes = yield* image.readDocument(descriptor)
  const manifest = yield* Effect.fromResult(decodeManifest(bytes, `SOCI index ${descriptor.digest}`))
  const version = versions.get(manifest.config.mediaType)
  if (version === undefined) return yield* invalid(`unknown index version: ${manifest.config.mediaType}`)
  const index: SociIndex = { version, descriptor, manifest }
  return index
})

/** Ztocs by the layer they are for; what is for no layer of the manifest is ignored. */
const ztocsOf = (index: SociIndex, { manifest }: PlatformManifest): ReadonlyMap<Digest, Descriptor> => {
  const layers = new Set<string>(manifest.layers?.map(({ digest }) => digest))
  const ztocs = new Map<Digest, Descriptor>()
  for (const ztoc of index.manifest.layers ?? []) {
    const layer = ztoc.annotations?.[SociAnnotation.imageLayerDigest]
    if (ztoc.mediaType === MediaType.ztoc && isDigest(layer) && layers.has(layer)) ztocs.set(layer, ztoc)
  }
  return ztocs
}

const readZtoc =
  (image: SourceImage, index: SociIndex): FoundIndex["readZtoc"] =>
  (ztoc) =>
    Effect.gen(function* () {
      if (ztoc.size > ZtocLimits.ztocBytes) {
        const reason = `ztoc ${ztoc.digest} has ${ztoc.size} bytes; at most ${ZtocLimits.ztocBytes} are read`
        const name = formatImageName(image.name)
        return yield* new InvalidIndex({ image: name, index: index.descriptor.digest, reason })
      }
      const chunks = yield* Stream.runCollect(image.readBlob(ztoc))
      return yield* Effect.fromResult(decodeZtoc(Bytes.concat(chunks)))
    })

const find: ArtifactSource["Service"]["find"] = Effect.fn("ArtifactSource.find")(function* (image, manifest, options) {
  const name = formatImageName(image.name)
  const located = yield* locate(image, manifest, options.indexDigest)
  if (located === undefined) {
    const looked = ["a v2 annotation of the manifest", "v1 referrers of the manifest"]
    return yield* new NoIndex({ image: name, looked })
  }
  const { origin, index: descriptor } = located
  const index = yield* readIndex(image, descriptor)
  const subject = index.manifest.subject?.digest
  if (index.version === "v1" && subject !== manifest.descriptor.digest) {
    const reason = `it is for the manifest ${subject ?? "of nothing"}, not for ${manifest.descriptor.digest}`
    return yield* new InvalidIndex({ image: name, index: descriptor.digest, reason })
  }
  const ztocs = ztocsOf(index, manifest)
  const size = descriptor.size + [...ztocs.values()].reduce((sum, ztoc) => sum + ztoc.size, 0)
  yield* Effect.logDebug("SOCI index found").pipe(Effect.annotateLogs({ digest: descriptor.digest, origin }))
  return { origin, index, ztocs, size, readZtoc: readZtoc(image, index) }
})

export const layer: Layer.Layer<ArtifactSource> = Layer.succeed(ArtifactSource, ArtifactSource.of({ find }))

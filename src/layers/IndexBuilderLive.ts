/**
 * Builds SOCI indexes out of layers streamed from the image's source into the content store.
 */
import { Effect, Layer, Stream } from "effect"
import { availableParallelism } from "node:os"
import { ArtifactsDb } from "../services/ArtifactsDb.ts"
import { ContentStore } from "../services/ContentStore.ts"
import type { Descriptor } from "../services/Descriptor.ts"
import {
  type BuiltIndex,
  EmptyIndex,
  IndexBuilder,
  type IndexBuildError,
  type IndexBuildOptions,
  LayerBuildFailed,
  type SkippedLayer
} from "../services/IndexBuilder.ts"
import { formatImageName } from "../services/ImageName.ts"
import type { SourceImage } from "../services/ImageSource.ts"
import { isLayerType, type LayerCompression, layerCompression, MediaType } from "../services/MediaType.ts"
import { artifactTypeOf, emptyObject, SociAnnotation, type SociIndexVersion } from "../services/SociIndex.ts"
import { ZtocBuilder } from "../services/ZtocBuilder.ts"
import { encodeManifest } from "../streams/codec/imageDocuments.ts"
import { formatPlatform } from "../streams/codec/platform.ts"
import { indexRow } from "./index/artifactRows.ts"
import { convertImage } from "./index/convertImage.ts"
import { describeContent } from "./index/describeContent.ts"
import { layerZtoc } from "./index/layerZtoc.ts"

/** What became of one layer: its ztoc, a reason to skip it, or nothing for a layer that is no file system. */
type LayerOutcome =
  | { readonly _tag: "Ztoc"; readonly descriptor: Descriptor }
  | { readonly _tag: "Skipped"; readonly skipped: SkippedLayer }
  | undefined

/** What has to be done with a layer, by its descriptor alone (index-and-artifacts, 4.3). */
const planLayer = (layer: Descriptor, minLayerSize: number): LayerCompression | SkippedLayer | Error | undefined => {
  const { mediaType, digest, size } = layer
  if (mediaType === MediaType.sociPrefetch) return undefined
  if (!isLayerType(mediaType)) return new Error("not a layer mediaType")
  if (size < minLayerSize) {
    const message = `ztoc skipped - layer ${digest} (${mediaType}) size ${size} is less than min-layer-size ${minLayerSize}`
    return { layer, reason: "too small", message }
  }
  const compression = layerCompression(mediaType)
  if (compression === undefined) {
    return new Error(`could not determine layer compression: unrecognised mediatype ${mediaType}: not implemented`)
  }
  if (compression === "gzip" || compression === "uncompressed" || compression === "unknown") return compression
  const message =
    `ztoc skipped - layer ${digest} (${mediaType}) is compressed in an unsupported format. ` +
    `expect: [tar, gzip, unknown] but got "${compression}"`
  return { layer, reason: "unsupported", message }
}

export const layer = Layer.effect(
  IndexBuilder,
  Effect.gen(function* () {
    const store = yield* ContentStore
    const artifacts = yield* ArtifactsDb
    const builders = { store, artifacts, ztocs: yield* ZtocBuilder }

    const buildLayer = Effect.fnUntraced(function* (image: SourceImage, layer: Descriptor, options: IndexBuildOptions) {
      const plan = planLayer(layer, options.minLayerSize)
      if (plan === undefined) return undefined
      const fail = (cause: unknown) =>
        new LayerBuildFailed({ image: formatImageName(image.name), layer: layer.digest, cause })
      if (plan instanceof Error) return yield* fail(plan)
      if (typeof plan === "object") {
        yield* (options.onEvent ?? (() => Effect.void))({ _tag: "LayerSkipped", skipped: plan })
        return { _tag: "Skipped", skipped: plan } as const
      }
      const descriptor = yield* Effect.mapError(layerZtoc(builders, image, layer, plan, options), fail)
      return { _tag: "Ztoc", descriptor } as const
    })

    /** A layer that an image lists several times is built once. */
    const buildLayers = Effect.fnUntraced(function* (
      image: SourceImage,
      layers: ReadonlyArray<Descriptor>,
      options: IndexBuildOptions
    ): Effect.fn.Return<ReadonlyArray<LayerOutcome>, LayerBuildFailed> {
      const different = new Map(layers.map((layer) => [layer.digest, layer]))
      const outcomes = yield* Effect.forEach(
        different.values(),
        (layer) => Effect.map(buildLayer(image, layer, options), (outcome) => [layer.digest, outcome] as const),
        { concurrency: availableParallelism() }
      )
      const byDigest = new Map<string, LayerOutcome>(outcomes)
      return layers.map(({ digest }) => byDigest.get(digest))
    })

    const writeIndex = Effect.fnUntraced(function* (
      version: SociIndexVersion,
      ztocDescriptors: ReadonlyArray<Descriptor>,
      subject: Descriptor,
      options: IndexBuildOptions
    ) {
      const artifactType = artifactTypeOf(version)
      const config: Descriptor = { mediaType: artifactType, digest: emptyObject.digest, size: 2 }
      yield* store.ingest(config, Stream.succeed(emptyObject.bytes))
      const { mediaType, digest, size } = subject
      const bytes = encodeManifest({
        schemaVersion: 2,
        mediaType: MediaType.ociManifest,
        config,
        layers: ztocDescriptors,
        ...(version === "v1" ? { subject: { mediaType, digest, size } } : {}),
        annotations: { [SociAnnotation.buildToolIdentifier]: options.buildToolIdentifier }
      })
      const descriptor = { ...describeContent(MediaType.ociManifest, bytes), artifactType }
      yield* store.ingest(descriptor, Stream.succeed(bytes))
      return descriptor
    })

    const build = Effect.fn("IndexBuilder.build")(function* (
      image: SourceImage,
      { descriptor: manifestDescriptor, manifest, platform }: Parameters<IndexBuilder["Service"]["build"]>[1],
      version: SociIndexVersion,
      options: IndexBuildOptions
    ): Effect.fn.Return<BuiltIndex, IndexBuildError> {
      const outcomes = yield* buildLayers(image, manifest.layers ?? [], options)
      const skipped = outcomes.flatMap((outcome) => (outcome?._tag === "Skipped" ? [outcome.skipped] : []))
      const descriptors = outcomes.flatMap((outcome) => (outcome?._tag === "Ztoc" ? [outcome.descriptor] : []))
      if (descriptors.length === 0) {
        return yield* new EmptyIndex({
          image: formatImageName(image.name),
          platform: formatPlatform(platform),
          reasons: skipped.map(({ message }) => message)
        })
      }
      const descriptor = yield* writeIndex(version, descriptors, manifestDescriptor, options)
      const row = indexRow(descriptor, { version, manifest: manifestDescriptor, image: image.target, platform })
      yield* artifacts.write(yield* row)
      return { descriptor, version, platform, manifest: manifestDescriptor, ztocs: descriptors, prefetch: [], skipped }
    })

    return IndexBuilder.of({ build, convert: convertImage(store, artifacts, build) })
  })
)

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
  IndexNotKept,
  InvalidBuildOptions,
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
import { cleanPrefetchPath } from "../streams/prefetchSpans.ts"
import { indexRow } from "./index/artifactRows.ts"
import { convertImage } from "./index/convertImage.ts"
import { describeContent } from "./index/describeContent.ts"
import { makeGcLabels } from "./index/gcLabels.ts"
import { type LayerZtoc, layerZtoc } from "./index/layerZtoc.ts"
import { writePrefetchArtifacts } from "./index/prefetchArtifacts.ts"

/** What became of one layer: its ztoc, a reason to skip it, or nothing for a layer that is no file system. */
type LayerOutcome =
  | { readonly _tag: "Ztoc"; readonly ztoc: LayerZtoc }
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

const checkOptions = ({ spanSize, minLayerSize }: IndexBuildOptions) => {
  if (spanSize < 0) return Effect.fail(new InvalidBuildOptions({ reason: "span size must be >= 0" }))
  if (minLayerSize < 0) return Effect.fail(new InvalidBuildOptions({ reason: "min layer size must be >= 0" }))
  return Effect.void
}

/** Each wanted path once, clean; what is nothing but the root names no file. */
const wantedPaths = ({ prefetchPaths }: IndexBuildOptions): ReadonlyArray<string> => [
  ...new Set(prefetchPaths.map(cleanPrefetchPath).filter((path) => path !== ""))
]

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
      const ztoc = yield* Effect.mapError(layerZtoc(builders, image, layer, plan, wantedPaths(options), options), fail)
      return { _tag: "Ztoc", ztoc } as const
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
      image: string,
      version: SociIndexVersion,
      blobs: ReadonlyArray<Descriptor>,
      subject: Descriptor,
      options: IndexBuildOptions
    ) {
      const keep = (attempted: string, content: Descriptor, bytes: Uint8Array) =>
        Effect.mapError(
          store.ingest(content, Stream.succeed(bytes)),
          (cause) => new IndexNotKept({ image, attempted, cause })
        )
      const artifactType = artifactTypeOf(version)
      const config: Descriptor = { mediaType: artifactType, digest: emptyObject.digest, size: 2 }
      yield* keep("error creating OCI 1.0 empty config", config, emptyObject.bytes)
      const { mediaType, digest, size } = subject
      const bytes = encodeManifest({
        schemaVersion: 2,
        mediaType: MediaType.ociManifest,
        config,
        layers: blobs,
        ...(version === "v1" ? { subject: { mediaType, digest, size } } : {}),
        annotations: { [SociAnnotation.buildToolIdentifier]: options.buildToolIdentifier }
      })
      const descriptor = { ...describeContent(MediaType.ociManifest, bytes), artifactType }
      yield* keep("cannot write SOCI index to local store", descriptor, bytes)
      const labels = makeGcLabels(store, image)
      if (options.gcRootLabel) yield* labels.root(descriptor.digest)
      yield* labels.index(descriptor.digest, blobs)
      return descriptor
    })

    const buildIndex = Effect.fnUntraced(function* (
      image: SourceImage,
      { descriptor: manifestDescriptor, manifest, platform }: Parameters<IndexBuilder["Service"]["build"]>[1],
      version: SociIndexVersion,
      options: IndexBuildOptions
    ): Effect.fn.Return<BuiltIndex, IndexBuildError> {
      yield* checkOptions(options)
      const name = formatImageName(image.name)
      const layers = manifest.layers ?? []
      const outcomes = yield* buildLayers(image, layers, options)
      const skipped = outcomes.flatMap((outcome) => (outcome?._tag === "Skipped" ? [outcome.skipped] : []))
      const answering = layers.flatMap((layer, i) => {
        const outcome = outcomes[i]
        return outcome?._tag === "Ztoc" ? [{ layer, ...outcome.ztoc }] : []
      })
      if (answering.length === 0) {
        const reasons = skipped.map(({ message }) => message)
        return yield* new EmptyIndex({ image: name, platform: formatPlatform(platform), reasons })
      }
      const parts = { store, artifacts, image: name }
      const prefetch = yield* writePrefetchArtifacts(parts, answering, wantedPaths(options), options)
      const ztocs = answering.map(({ descriptor }) => descriptor)
      const descriptor = yield* writeIndex(name, version, [...ztocs, ...prefetch], manifestDescriptor, options)
      return { descriptor, version, platform, manifest: manifestDescriptor, ztocs, prefetch, skipped }
    })

    const record = Effect.fnUntraced(function* (
      image: SourceImage,
      { descriptor, version, manifest, platform }: BuiltIndex
    ) {
      const row = indexRow(descriptor, { version, manifest: manifest.digest, image: image.target.digest, platform })
      yield* artifacts.write(yield* row)
    })

    return IndexBuilder.of({
      build: Effect.fn("IndexBuilder.build")((image, target, version, options) =>
        store.withLease(Effect.tap(buildIndex(image, target, version, options), (built) => record(image, built)))
      ),
      convert: Effect.fn("IndexBuilder.convert")((image, platforms, options) =>
        store.withLease(
          Effect.andThen(checkOptions(options), convertImage(store, artifacts, buildIndex)(image, platforms, options))
        )
      )
    })
  })
)

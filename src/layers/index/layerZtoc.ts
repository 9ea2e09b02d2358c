/**
 * The ztoc of one layer: found among those that were built before, or built (index-and-artifacts spec, 4.3 and 4.5).
 */
import { Bytes, Effect, Option, Stream } from "effect"
import { causeMessage } from "../../services/causeMessage.ts"
import type { ArtifactsDb } from "../../services/ArtifactsDb.ts"
import type { ContentStore } from "../../services/ContentStore.ts"
import type { Descriptor } from "../../services/Descriptor.ts"
import type { SourceImage } from "../../services/ImageSource.ts"
import type { IndexBuildOptions } from "../../services/IndexBuilder.ts"
import { type LayerCompression, MediaType } from "../../services/MediaType.ts"
import { SociAnnotation } from "../../services/SociIndex.ts"
import type { Ztoc } from "../../services/Ztoc.ts"
import type { ZtocBuilder } from "../../services/ZtocBuilder.ts"
import { decodeZtoc } from "../../streams/codec/ztoc.ts"
import { type LayerAnswer, prefetchAnswers } from "../../streams/prefetchSpans.ts"
import { ztocRow } from "./artifactRows.ts"

interface Builders {
  readonly store: ContentStore["Service"]
  readonly artifacts: ArtifactsDb["Service"]
  readonly ztocs: ZtocBuilder["Service"]
}

interface FoundZtoc {
  readonly descriptor: Descriptor
  readonly withoutXattrs: boolean
  readonly bytes: Uint8Array
}

export interface LayerZtoc {
  /** As it stands in an index. */
  readonly descriptor: Descriptor
  /** What the layer says of each path that is to be prefetched. */
  readonly answers: ReadonlyArray<LayerAnswer>
}

/** A step that failed, in the words of the reference. */
const failing = (attempted: string) => (cause: unknown) => new Error(`${attempted}: ${causeMessage(cause)}`, { cause })

const ztocAnnotations = (layer: Descriptor, spanSize: number, withoutXattrs: boolean) => ({
  ...(withoutXattrs ? { [SociAnnotation.disableXattrs]: "true" } : {}),
  [SociAnnotation.imageLayerDigest]: layer.digest,
  [SociAnnotation.imageLayerMediaType]: layer.mediaType,
  [SociAnnotation.spanSize]: String(spanSize)
})

/** As the builder says it of a ztoc it has just built. */
const hasNoXattrs = ({ entries }: Ztoc): boolean =>
  entries.every(
    ({ name, pax }) => !name.endsWith(".wh..wh..opq") && !pax.some(([key]) => key.startsWith("SCHILY.xattr."))
  )

/** A ztoc built before with the same span size, if its content is still there. */
const findZtoc = Effect.fnUntraced(function* (
  { store, artifacts }: Builders,
  layer: Descriptor,
  { spanSize, forceRecreate }: IndexBuildOptions
) {
  if (forceRecreate) return undefined
  const known = yield* artifacts.ztocOfLayer(layer.digest, spanSize)
  if (Option.isNone(known) || !(yield* store.exists(known.value.digest))) return undefined
  const { digest, size } = known.value
  const descriptor: Descriptor = { mediaType: MediaType.ztoc, digest, size }
  const chunks = yield* Effect.mapError(
    Stream.runCollect(store.read(descriptor)),
    failing("failed to fetch existing ztoc")
  )
  const bytes = Bytes.concat(chunks)
  const ztoc = yield* Effect.mapError(Effect.fromResult(decodeZtoc(bytes)), failing("cannot unmarshal existing ztoc"))
  const found: FoundZtoc = { descriptor, withoutXattrs: hasNoXattrs(ztoc), bytes }
  return found
})

const buildZtoc = Effect.fnUntraced(function* (
  { store, artifacts, ztocs }: Builders,
  image: SourceImage,
  layer: Descriptor,
  compression: LayerCompression,
  { spanSize, buildToolIdentifier, onEvent = () => Effect.void }: IndexBuildOptions
) {
  // The blob is verified while it is read: its digest need not be computed twice.
  const own = { compression, mediaType: layer.mediaType, spanSize, buildToolIdentifier }
  const built = yield* ztocs.events(image.readBlob(layer), { ...own, layerDigest: layer.digest }).pipe(
    Stream.tap((event) =>
      event._tag === "Progress"
        ? onEvent({ _tag: "LayerProgress", layer, compressedBytes: event.compressedBytes })
        : Effect.void
    ),
    Stream.filter((event) => event._tag === "Built"),
    Stream.runHead,
    Effect.flatMap(Effect.fromOption),
    Effect.map(({ ztoc }) => ztoc)
  )
  const descriptor: Descriptor = { mediaType: MediaType.ztoc, digest: built.digest, size: built.bytes.length }
  yield* Effect.mapError(
    store.ingest(descriptor, Stream.succeed(built.bytes)),
    failing("cannot push ztoc to local store")
  )
  yield* artifacts.write(yield* ztocRow(layer.digest, descriptor, spanSize))
  const made: FoundZtoc = { descriptor, withoutXattrs: built.withoutXattrs, bytes: built.bytes }
  return made
})

/** The layer's ztoc, and where in the layer the (clean) paths are. */
export const layerZtoc = Effect.fnUntraced(function* (
  builders: Builders,
  image: SourceImage,
  layer: Descriptor,
  compression: LayerCompression,
  paths: ReadonlyArray<string>,
  options: IndexBuildOptions
) {
  const { spanSize, xattrOptimization, onEvent = () => Effect.void } = options
  const found = yield* findZtoc(builders, layer, options)
  const { descriptor, withoutXattrs, bytes } = found ?? (yield* buildZtoc(builders, image, layer, compression, options))
  const answers =
    paths.length === 0
      ? []
      : yield* Effect.flatMap(Effect.fromResult(decodeZtoc(bytes)), (ztoc) =>
          Effect.fromResult(prefetchAnswers(ztoc, paths))
        )
  yield* onEvent({ _tag: found ? "LayerReused" : "LayerBuilt", layer, ztoc: descriptor })
  const annotations = ztocAnnotations(layer, spanSize, xattrOptimization && withoutXattrs)
  const result: LayerZtoc = { descriptor: { ...descriptor, annotations }, answers }
  return result
})

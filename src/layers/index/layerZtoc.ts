/**
 * The ztoc of one layer: found among those that were built before, or built (index-and-artifacts spec, 4.3 and 4.5).
 */
import { Bytes, Effect, Option, Stream } from "effect"
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
import { ztocRow } from "./artifactRows.ts"

interface Builders {
  readonly store: ContentStore["Service"]
  readonly artifacts: ArtifactsDb["Service"]
  readonly ztocs: ZtocBuilder["Service"]
}

interface LayerZtoc {
  readonly descriptor: Descriptor
  readonly withoutXattrs: boolean
}

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
  const bytes = Bytes.concat(yield* Stream.runCollect(store.read(descriptor)))
  const ztoc = yield* Effect.fromResult(decodeZtoc(bytes))
  const found: LayerZtoc = { descriptor, withoutXattrs: hasNoXattrs(ztoc) }
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
  const own = { compression, spanSize, buildToolIdentifier }
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
  yield* store.ingest(descriptor, Stream.succeed(built.bytes))
  yield* artifacts.write(yield* ztocRow(layer, descriptor, spanSize))
  return { descriptor, withoutXattrs: built.withoutXattrs }
})

/** The descriptor of the layer's ztoc as it stands in an index. */
export const layerZtoc = Effect.fnUntraced(function* (
  builders: Builders,
  image: SourceImage,
  layer: Descriptor,
  compression: LayerCompression,
  options: IndexBuildOptions
) {
  const { spanSize, xattrOptimization, onEvent = () => Effect.void } = options
  const found = yield* findZtoc(builders, layer, options)
  const { descriptor, withoutXattrs } = found ?? (yield* buildZtoc(builders, image, layer, compression, options))
  yield* onEvent({ _tag: found ? "LayerReused" : "LayerBuilt", layer, ztoc: descriptor })
  const annotations = ztocAnnotations(layer, spanSize, xattrOptimization && withoutXattrs)
  return { ...descriptor, annotations }
})

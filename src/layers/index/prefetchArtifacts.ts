/**
 * Makes the prefetch artifacts of an image: one for each layer that holds wanted files (index-and-artifacts spec, 7.1).
 */
import { Effect, Stream } from "effect"
import type { ArtifactsDb } from "../../services/ArtifactsDb.ts"
import type { ContentStore } from "../../services/ContentStore.ts"
import type { Descriptor, Digest } from "../../services/Descriptor.ts"
import { IndexNotKept, type IndexBuildOptions } from "../../services/IndexBuilder.ts"
import { MediaType } from "../../services/MediaType.ts"
import { prefetchVersion } from "../../services/PrefetchArtifact.ts"
import { SociAnnotation } from "../../services/SociIndex.ts"
import { encodePrefetchArtifact } from "../../streams/codec/prefetchArtifact.ts"
import { type LayerAnswer, mergeSpanRanges } from "../../streams/prefetchSpans.ts"
import { prefetchRow } from "./artifactRows.ts"
import { describeContent } from "./describeContent.ts"

/** A layer that got a ztoc, and what it says of each wanted path. */
export interface AnsweringLayer {
  readonly layer: Descriptor
  readonly answers: ReadonlyArray<LayerAnswer>
}

type Range = Exclude<LayerAnswer, "hidden" | undefined>

/** The topmost layer that has the path, unless one above it hides it. */
const findPath = (layers: ReadonlyArray<AnsweringLayer>, path: number) => {
  for (const { layer, answers } of layers.toReversed()) {
    const answer = answers[path]
    if (answer === "hidden") return undefined
    if (answer !== undefined) return { layer, range: answer }
  }
  return undefined
}

interface Parts {
  readonly store: ContentStore["Service"]
  readonly artifacts: ArtifactsDb["Service"]
  readonly image: string
}

/** The descriptors as they stand in an index, in layer order. `paths` are clean; the answers are in their order. */
export const writePrefetchArtifacts = Effect.fnUntraced(function* (
  { store, artifacts, image }: Parts,
  layers: ReadonlyArray<AnsweringLayer>,
  paths: ReadonlyArray<string>,
  { onEvent = () => Effect.void }: IndexBuildOptions
) {
  const ranges = new Map<Digest, Array<Range>>()
  for (const [i, path] of paths.entries()) {
    const found = findPath(layers, i)
    if (found === undefined) yield* onEvent({ _tag: "PrefetchFileMissing", path })
    else ranges.set(found.layer.digest, [...(ranges.get(found.layer.digest) ?? []), found.range])
  }
  const written: Array<Descriptor> = []
  for (const { layer } of layers) {
    const spans = mergeSpanRanges(ranges.get(layer.digest) ?? [])
    if (spans.length === 0) continue
    const bytes = yield* Effect.fromResult(encodePrefetchArtifact({ version: prefetchVersion, spans })).pipe(
      Effect.orDie
    )
    const content = describeContent(MediaType.sociPrefetch, bytes)
    yield* Effect.mapError(
      store.ingest(content, Stream.succeed(bytes)),
      (cause) =>
        new IndexNotKept({ image, attempted: `cannot push prefetch artifact of ${layer.digest} to local store`, cause })
    )
    yield* artifacts.write(yield* prefetchRow(layer.digest, content))
    const descriptor = { ...content, annotations: { [SociAnnotation.imageLayerDigest]: layer.digest } }
    yield* onEvent({ _tag: "PrefetchBuilt", layer, prefetch: descriptor })
    written.push(descriptor)
  }
  return written
})

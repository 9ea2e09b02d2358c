/**
 * The work of `soci convert` on an image of containerd: v2 indexes, and another image record for the result.
 */
import { Effect, type Option } from "effect"
import { hostPlatform } from "../../../layers/hostPlatform.ts"
import { imagePlatforms } from "../../../layers/imagePlatforms.ts"
import type { ContentStore } from "../../../services/ContentStore.ts"
import type { Descriptor, Platform } from "../../../services/Descriptor.ts"
import type { SourceImage } from "../../../services/ImageSource.ts"
import type { ConvertedImage } from "../../../services/IndexBuilder.ts"
import { isIndexType } from "../../../services/MediaType.ts"
import { artifactTypeOf, emptyObject } from "../../../services/SociIndex.ts"
import { parseTaggedReference } from "../../../streams/codec/containerdReference.ts"
import { CommandRefused } from "../../commandFailure.ts"
import { makeProgressBars, standardError } from "../../progress/ProgressBars.ts"
import { contentStoreKind } from "../../cli/globalFlags.ts"
import { openArtifactsDb, openContainerd, openLayout } from "../../stores.ts"
import { openIndexBuilder } from "../../indexBuilding.ts"
import { type BuildFlags, readBuildOptions, readOptimizations, required } from "../buildOptions.ts"
import { indexJson, reportBuild } from "../buildReport.ts"
import { choosePlatforms, type PlatformOptions } from "../platformChoice.ts"
import { printJson } from "../printJson.ts"
import { inWordsOfReference } from "../storedArtifact.ts"

export interface ConvertOptions extends BuildFlags, PlatformOptions {
  readonly source: Option.Option<string>
  readonly destination: Option.Option<string>
  readonly rewriteAttestations: boolean
  readonly json: boolean
}

/** What is built, and what becomes of what cannot be indexed. */
export const readConversionOptions = Effect.fnUntraced(function* (options: ConvertOptions, xattrOptimization: boolean) {
  const build = yield* readBuildOptions(options, xattrOptimization)
  return { ...build, attestations: options.rewriteAttestations ? "rewrite" : "keep" } as const
})

/** Without flags: what a single manifest is for, else this machine's platform (index-and-artifacts spec, section 5, steps 2 and 3). */
export const convertedPlatforms = (image: SourceImage, options: PlatformOptions) => {
  const host: ReadonlyArray<Platform> = [hostPlatform]
  return choosePlatforms(
    image,
    options,
    isIndexType(image.target.mediaType) ? Effect.succeed(host) : imagePlatforms(image)
  )
}

/** What `--json` and the line at the end say. */
export const convertedJson = (source: string, destination: string, { descriptor, indexes }: ConvertedImage) => ({
  Source: source,
  Destination: destination,
  Digest: descriptor.digest,
  Size: descriptor.size,
  MediaType: descriptor.mediaType,
  Indexes: indexes.map(indexJson)
})

/**
 * Puts the indexes into the soci store as well, where a snapshotter that is set up for it looks. The image itself stays in containerd:
 * the reference leaves it without its content there.
 */
const copyIndexes = Effect.fnUntraced(function* (
  from: ContentStore["Service"],
  to: ContentStore["Service"],
  { indexes }: ConvertedImage
) {
  for (const { descriptor, ztocs, prefetch, version } of indexes) {
    const config: Descriptor = { mediaType: artifactTypeOf(version), digest: emptyObject.digest, size: 2 }
    for (const blob of [config, ...ztocs, ...prefetch, descriptor]) yield* to.ingest(blob, from.read(blob))
  }
})

const checkedDestination = (destination: string) =>
  Effect.mapError(Effect.fromResult(parseTaggedReference(destination)), (reason) => new CommandRefused({ reason }))

export const convertStored = Effect.fn("soci.convert")(
  function* (options: ConvertOptions) {
    const source = yield* required(options.source, "source image needs to be specified")
    const destination = yield* required(options.destination, "destination needs to be specified")
    yield* checkedDestination(destination)
    const containerd = yield* openContainerd
    const image = yield* containerd.find(source)
    const xattrOptimization = yield* readOptimizations(options.optimizations)
    const kind = yield* contentStoreKind
    const platforms = yield* convertedPlatforms(image, options)
    const artifacts = yield* openArtifactsDb
    const buildOptions = yield* readConversionOptions(options, xattrOptimization)
    const { content } = containerd
    const builder = yield* openIndexBuilder(content, artifacts)
    const bars = yield* makeProgressBars(standardError)

    const converted = yield* content.withLease(
      Effect.gen(function* () {
        const result = yield* builder.convert(image, platforms, {
          ...buildOptions,
          onEvent: reportBuild(bars, options)
        })
        if (kind === "soci") yield* copyIndexes(content, yield* openLayout, result)
        yield* containerd.images.put({ name: destination, target: result.descriptor, labels: {} })
        return result
      })
    )
    if (options.json) return yield* printJson(convertedJson(source, destination, converted))
    yield* bars.note(`converted image ${converted.descriptor.digest} is ${destination}`)
  },
  Effect.scoped,
  inWordsOfReference
)

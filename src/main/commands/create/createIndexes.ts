/**
 * The work of `soci create`: a v1 index for each platform of an image of containerd, kept alive by labels of the image.
 */
import { Effect, type Option } from "effect"
import { hostPlatform } from "../../../layers/hostPlatform.ts"
import { formatPlatform } from "../../../streams/codec/platform.ts"
import { makeProgressBars, standardError } from "../../progress/ProgressBars.ts"
import { openArtifactsDb, openContainerd, openContentStore } from "../../stores.ts"
import { openIndexBuilder } from "../../indexBuilding.ts"
import { type BuildFlags, readBuildOptions, readOptimizations, required } from "../buildOptions.ts"
import { indexJson, reportBuild } from "../buildReport.ts"
import { printJson } from "../printJson.ts"
import { keepIndex } from "./keepIndex.ts"
import { inWordsOfReference } from "../storedArtifact.ts"
import { choosePlatforms, platformManifest, type PlatformOptions } from "../platformChoice.ts"

export interface CreateOptions extends BuildFlags, PlatformOptions {
  readonly image: Option.Option<string>
  readonly json: boolean
}

export const createIndexes = Effect.fn("soci.create")(
  function* (options: CreateOptions) {
    const name = yield* required(options.image, "source image needs to be specified")
    const xattrOptimization = yield* readOptimizations(options.optimizations)
    const containerd = yield* openContainerd
    const image = yield* containerd.find(name)
    const { kind, store } = yield* openContentStore(containerd)
    const platforms = yield* choosePlatforms(image, options, Effect.succeed([hostPlatform]))
    const artifacts = yield* openArtifactsDb
    const buildOptions = yield* readBuildOptions(options, xattrOptimization)
    const builder = yield* openIndexBuilder(store, artifacts)
    const bars = yield* makeProgressBars(standardError)
    const onEvent = reportBuild(bars, options)

    // Until its label is set, only the lease keeps an index.
    const indexes = yield* store.withLease(
      Effect.forEach(
        platforms,
        Effect.fnUntraced(function* (platform) {
          const manifest = yield* platformManifest(image, platform)
          const built = yield* builder.build(image, { ...manifest, platform }, "v1", { ...buildOptions, onEvent })
          if (kind === "containerd") yield* keepIndex(containerd.images, name, built.descriptor.digest)
          if (!options.json) yield* bars.note(`SOCI index ${built.descriptor.digest} for ${formatPlatform(platform)}`)
          return built
        })
      )
    )
    if (options.json) yield* printJson({ Image: name, Indexes: indexes.map(indexJson) })
  },
  Effect.scoped,
  inWordsOfReference
)

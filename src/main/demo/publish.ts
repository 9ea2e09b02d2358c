/**
 * Puts the demo's image into the registry: as it is, with a v1 SOCI index that refers to it, and converted to carry its v2 index.
 */
import { Effect } from "effect"
import { hostPlatform } from "../../layers/hostPlatform.ts"
import { resolvePlatform } from "../../layers/resolvePlatform.ts"
import { ContentStore } from "../../services/ContentStore.ts"
import type { Descriptor } from "../../services/Descriptor.ts"
import { type GraphContent, GraphPusher } from "../../services/GraphPusher.ts"
import type { RegistryReference } from "../../services/ImageName.ts"
import { ImageSource, type SourceImage } from "../../services/ImageSource.ts"
import { type IndexBuildEvent, IndexBuilder, type IndexBuildOptions } from "../../services/IndexBuilder.ts"
import { defaultBuildToolIdentifier, defaultSpanSize } from "../../services/ZtocBuilder.ts"
import { builtContent } from "../builtContent.ts"
import { formatBytes, formatSeconds, formatShare, type Progress } from "./progress.ts"

/** Uploads at the same time. */
const concurrency = 3

const reference = (host: string, tag: string): RegistryReference => ({
  _tag: "Registry",
  host,
  repository: "demo",
  tag,
  digest: undefined
})

export const plainImage = (host: string) => reference(host, "plain")
export const convertedImage = (host: string) => reference(host, "soci")

const push = Effect.fnUntraced(function* (
  content: GraphContent,
  root: Descriptor,
  target: RegistryReference,
  tag: boolean,
  progress: Progress
) {
  const pusher = yield* GraphPusher
  yield* pusher.push(content, root, target, {
    concurrency,
    ...(tag && target.tag !== undefined ? { tag: target.tag } : {}),
    onEvent: ({ _tag, descriptor }) =>
      progress.update(`  ${_tag.toLowerCase()} ${descriptor.digest.slice(0, 19)} (${formatBytes(descriptor.size)})`)
  })
})

const buildOptions = (image: SourceImage, total: number, progress: Progress): IndexBuildOptions => {
  const done = new Map<string, number>()
  return {
    spanSize: defaultSpanSize,
    // The first layers of the demo are small; lazy all the same.
    minLayerSize: 0,
    buildToolIdentifier: defaultBuildToolIdentifier,
    xattrOptimization: false,
    forceRecreate: false,
    prefetchPaths: [],
    gcRootLabel: false,
    onEvent: (event: IndexBuildEvent) => {
      if (event._tag === "LayerSkipped") return progress.say(`  ${event.skipped.message}`)
      if (event._tag === "LayerBuilt" || event._tag === "LayerReused") {
        return progress.say(`  layer ${event.layer.digest.slice(0, 19)} -> ztoc ${event.ztoc.digest.slice(0, 19)}`)
      }
      if (event._tag !== "LayerProgress") return Effect.void
      done.set(event.layer.digest, event.compressedBytes)
      const bytes = [...done.values()].reduce((sum, part) => sum + part, 0)
      return progress.update(`  ${image.target.digest.slice(0, 19)}: ${formatShare(bytes, total)} scanned`)
    }
  }
}

/** Pushes the image out of the layout it was made in. */
export const pushPlain = Effect.fn("demo.pushPlain")(function* (host: string, target: Descriptor, progress: Progress) {
  const store = yield* ContentStore
  const content: GraphContent = { readDocument: store.readDocument, readBlob: store.read }
  yield* push(content, target, plainImage(host), true, progress)
})

/** Builds both kinds of index from the registry's copy and pushes them there; answers with the size and the time of the first. */
export const indexAndPush = Effect.fn("demo.indexAndPush")(function* (host: string, total: number, progress: Progress) {
  const builder = yield* IndexBuilder
  const store = yield* ContentStore
  const image = yield* ImageSource.use((source) => source.find(plainImage(host)))
  const manifest = yield* resolvePlatform(image, hostPlatform)
  const content = builtContent(store, image)
  const options = buildOptions(image, total, progress)

  const started = performance.now()
  const built = yield* builder.build(image, { ...manifest, platform: hostPlatform }, "v1", options)
  const buildMilliseconds = performance.now() - started
  const size = built.descriptor.size + built.ztocs.reduce((sum, ztoc) => sum + ztoc.size, 0)
  yield* progress.say(
    `  v1 index ${built.descriptor.digest}, ${formatBytes(size)} in ${formatSeconds(buildMilliseconds)}`
  )
  yield* push(content, built.descriptor, plainImage(host), false, progress)

  const quiet: IndexBuildOptions = { ...options, onEvent: () => Effect.void }
  const converted = yield* builder.convert(image, [hostPlatform], quiet)
  yield* push(content, converted.descriptor, convertedImage(host), true, progress)
  yield* progress.say(`  v2: converted image ${converted.descriptor.digest} pushed as ${host}/demo:soci`)
  return { size, buildMilliseconds }
})

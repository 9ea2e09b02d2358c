/**
 * An index builder on one of the reference's images, with a store and a data base of its own.
 */
import { Context, Effect, Layer } from "effect"
import * as path from "node:path"
import * as ArtifactsDbSqlite from "../../src/layers/ArtifactsDbSqlite.ts"
import * as ContentStoreLayout from "../../src/layers/ContentStoreLayout.ts"
import { hostPlatform } from "../../src/layers/hostPlatform.ts"
import { imagePlatforms } from "../../src/layers/imagePlatforms.ts"
import * as ImageSourceLive from "../../src/layers/ImageSourceLive.ts"
import * as IndexBuilderLive from "../../src/layers/IndexBuilderLive.ts"
import { resolvePlatform } from "../../src/layers/resolvePlatform.ts"
import * as ZtocBuilderWorkers from "../../src/layers/ZtocBuilderWorkers.ts"
import { ArtifactsDb } from "../../src/services/ArtifactsDb.ts"
import { ContentStore } from "../../src/services/ContentStore.ts"
import type { Platform } from "../../src/services/Descriptor.ts"
import { ImageSource, type SourceImage } from "../../src/services/ImageSource.ts"
import { IndexBuilder, type IndexBuildOptions } from "../../src/services/IndexBuilder.ts"
import { isIndexType } from "../../src/services/MediaType.ts"
import { RegistryFetcher } from "../../src/services/RegistryFetcher.ts"
import { buildOptionsOf, givenPlatforms, type Run, vectorFile } from "./indexVectors.ts"
import { temporaryDirectory } from "./temporaryDirectory.ts"

type Store = ContentStore["Service"]

/** `over` changes the store that is built into. */
export const vectorBuilder = Effect.fnUntraced(function* (
  name: string,
  over: (store: Store) => Store = (store) => store
) {
  const store = over(yield* ContentStoreLayout.open({ root: yield* temporaryDirectory }))
  const context = yield* Layer.build(
    Layer.mergeAll(IndexBuilderLive.layer, ImageSourceLive.layer).pipe(
      Layer.provideMerge(ArtifactsDbSqlite.layer({ path: path.join(yield* temporaryDirectory, "artifacts.sqlite") })),
      Layer.provide([Layer.succeed(ContentStore, store), ZtocBuilderWorkers.layer, Layer.mock(RegistryFetcher, {})])
    )
  )
  const builder = Context.get(context, IndexBuilder)
  const image: SourceImage = yield* Context.get(context, ImageSource).find({
    _tag: "Layout",
    path: vectorFile(`${name}/input`),
    tag: undefined,
    digest: undefined
  })
  const defaults: Pick<Run, "args"> = { args: ["--min-layer-size", "0"] }

  const build = Effect.fnUntraced(function* (
    version: "v1" | "v2",
    run: Pick<Run, "args"> = defaults,
    platform: Platform = hostPlatform,
    options: Partial<IndexBuildOptions> = {},
    from = image
  ) {
    const manifest = yield* resolvePlatform(from, platform)
    return yield* builder.build(from, { ...manifest, platform }, version, { ...buildOptionsOf(name, run), ...options })
  })

  const convert = Effect.fnUntraced(function* (
    run: Pick<Run, "args"> = defaults,
    options: Partial<IndexBuildOptions> = {},
    from = image
  ) {
    const given = givenPlatforms(run)
    const all = run.args.includes("--all-platforms") || !isIndexType(from.target.mediaType)
    const platforms = given.length > 0 ? given : all ? yield* imagePlatforms(from) : [hostPlatform]
    return yield* builder.convert(from, platforms, { ...buildOptionsOf(name, run), ...options })
  })

  return { image, store, db: Context.get(context, ArtifactsDb), build, convert }
})

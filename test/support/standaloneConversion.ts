/**
 * A standalone conversion, put together as the command does it.
 */
import { Context, Effect, Layer } from "effect"
import * as path from "node:path"
import * as ArtifactsDbSqlite from "../../src/layers/ArtifactsDbSqlite.ts"
import { hostPlatform } from "../../src/layers/hostPlatform.ts"
import { imagePlatforms } from "../../src/layers/imagePlatforms.ts"
import * as IndexBuilderLive from "../../src/layers/IndexBuilderLive.ts"
import { openStandaloneInput } from "../../src/layers/standalone/openStandaloneInput.ts"
import * as ZtocBuilderWorkers from "../../src/layers/ZtocBuilderWorkers.ts"
import { ContentStore } from "../../src/services/ContentStore.ts"
import { IndexBuilder } from "../../src/services/IndexBuilder.ts"
import { isIndexType } from "../../src/services/MediaType.ts"
import { buildOptionsOf, givenPlatforms, type Run } from "./indexVectors.ts"

/** Converts with the flags of a run of the reference, attestations as it does. */
export const convertStandalone = Effect.fnUntraced(function* (input: string, name: string, run: Pick<Run, "args">) {
  const opened = yield* openStandaloneInput(input)
  const builder = yield* Layer.build(
    IndexBuilderLive.layer.pipe(
      Layer.provide([
        Layer.succeed(ContentStore, opened.store),
        ArtifactsDbSqlite.layer({ path: path.join(opened.scratch, "artifacts.sqlite") }),
        ZtocBuilderWorkers.layer
      ])
    )
  )
  const given = givenPlatforms(run)
  const all = run.args.includes("--all-platforms") || !isIndexType(opened.root.mediaType)
  const platforms = given.length > 0 ? given : all ? yield* imagePlatforms(opened.image) : [hostPlatform]
  const options = { ...buildOptionsOf(name, run), attestations: "rewrite" as const }
  const { descriptor } = yield* Context.get(builder, IndexBuilder).convert(opened.image, platforms, options)
  return { ...opened, converted: descriptor }
})

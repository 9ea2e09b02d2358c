/**
 * What builds indexes for commands.
 */
import { Context, Effect, Layer } from "effect"
import * as IndexBuilderLive from "../layers/IndexBuilderLive.ts"
import { ArtifactsDb } from "../services/ArtifactsDb.ts"
import { ContentStore } from "../services/ContentStore.ts"
import { IndexBuilder } from "../services/IndexBuilder.ts"
import { ztocBuilder } from "./inflaterChoice.ts"

/** Builds into these stores, as long as the scope is open. */
export const openIndexBuilder = (store: ContentStore["Service"], artifacts: ArtifactsDb["Service"]) =>
  Effect.map(
    Layer.build(
      IndexBuilderLive.layer.pipe(
        Layer.provide([Layer.succeed(ContentStore, store), Layer.succeed(ArtifactsDb, artifacts), ztocBuilder])
      )
    ),
    (built) => Context.get(built, IndexBuilder)
  )

/**
 * The work of `soci rebuild-db`. Where content is, the store knows: it is asked, and not a directory of the disk.
 */
import { Effect } from "effect"
import { syncArtifacts } from "../../../layers/index/syncArtifacts.ts"
import { openArtifactsDb, openContainerd, openContentStore } from "../../stores.ts"

export const rebuildArtifacts = Effect.gen(function* () {
  const artifacts = yield* openArtifactsDb
  const containerd = yield* openContainerd
  const { store } = yield* openContentStore(containerd)
  yield* syncArtifacts(artifacts, store, { subjectStore: containerd.content })
}).pipe(Effect.scoped, Effect.withSpan("soci.rebuildDb"))

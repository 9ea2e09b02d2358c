/**
 * `soci rebuild-db`: the artifacts data base anew, from what the content store holds.
 */
import { Effect } from "effect"
import { Command } from "effect/cli"

export const rebuildDb = Command.make(
  "rebuild-db",
  {},
  Effect.fnUntraced(function* () {
    const { rebuildArtifacts } = yield* Effect.promise(() => import("./rebuildDb/rebuildArtifacts.ts"))
    yield* rebuildArtifacts
  })
).pipe(
  Command.withDescription("rebuilds the artifacts database"),
  Command.withExamples([
    { command: "soci rebuild-db", description: 'Find indexes and ztocs after pulling an image, or after "index rm"' }
  ])
)

/**
 * The artifacts data base of a root directory.
 */
import { Effect, FileSystem, Layer } from "effect"
import * as path from "node:path"
import * as ArtifactsDbSqlite from "../layers/ArtifactsDbSqlite.ts"

/** Makes the root where it is missing: its last component only, for its owner only (index-and-artifacts spec, 8.2). */
const ensureRoot = Effect.fnUntraced(function* (root: string) {
  const fs = yield* FileSystem.FileSystem
  if (!(yield* fs.exists(root))) yield* fs.makeDirectory(root, { mode: 0o700 })
})

/** Beside the file of the reference, which has a format of its own: `artifacts.sqlite` below the root. */
export const artifactsDbIn = (root: string) =>
  Layer.unwrap(Effect.as(ensureRoot(root), ArtifactsDbSqlite.layer({ path: path.join(root, "artifacts.sqlite") })))

/**
 * Writes rows into an artifacts data base, one after the other: `writeArtifacts.ts PATH PREFIX COUNT`.
 */
import { Effect } from "effect"
import * as ArtifactsDbSqlite from "../../src/layers/ArtifactsDbSqlite.ts"
import { ArtifactsDb } from "../../src/services/ArtifactsDb.ts"
import { ztocEntry } from "./artifactEntries.ts"

const [, , path = "", prefix = "", count = "0"] = process.argv

await ArtifactsDb.use((db) =>
  Effect.forEach(
    Array.from({ length: Number(count) }, (_, i) => ztocEntry(`${prefix}${i}`)),
    (entry) =>
      Effect.andThen(
        db.write(entry),
        Effect.sync(() => process.stdout.write(`${entry.digest}\n`))
      ),
    { discard: true }
  )
).pipe(Effect.provide(ArtifactsDbSqlite.layer({ path })), Effect.runPromise)

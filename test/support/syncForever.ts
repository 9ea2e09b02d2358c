/**
 * Rebuilds an artifacts data base again and again from nothing, and says so each time: `syncForever.ts DATABASE STORE SUBJECTS`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Stream } from "effect"
import * as ArtifactsDbSqlite from "../../src/layers/ArtifactsDbSqlite.ts"
import * as ContentStoreLayout from "../../src/layers/ContentStoreLayout.ts"
import { syncArtifacts } from "../../src/layers/index/syncArtifacts.ts"
import { ArtifactsDb } from "../../src/services/ArtifactsDb.ts"

const [file = "", root = "", subjects = ""] = process.argv.slice(2)

Effect.gen(function* () {
  const db = yield* ArtifactsDb
  const store = yield* ContentStoreLayout.open({ root })
  const subjectStore = yield* ContentStoreLayout.open({ root: subjects, readOnly: true })
  const round = Effect.gen(function* () {
    yield* Stream.runForEach(db.entries, ({ digest }) => Effect.ignore(db.remove(digest)))
    process.stdout.write("removed\n")
    yield* syncArtifacts(db, store, { subjectStore })
    process.stdout.write("synced\n")
  })
  yield* Effect.forever(round)
}).pipe(Effect.provide(ArtifactsDbSqlite.layer({ path: file })), NodeRuntime.runMain)

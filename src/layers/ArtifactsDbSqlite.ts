/**
 * The artifacts data base in an SQLite file. Processes share it: each operation is one transaction, and one that finds it locked
 * waits without blocking this process.
 */
import { Effect, Layer, Option, Stream } from "effect"
import type { DatabaseSync, StatementSync } from "node:sqlite"
import { type ArtifactEntry, ArtifactNotFound, ArtifactsDb, NotAnIndex } from "../services/ArtifactsDb.ts"
import type { Digest } from "../services/Descriptor.ts"
import { MediaType } from "../services/MediaType.ts"
import { attemptOn, openArtifactsFile } from "./artifacts/artifactsFile.ts"
import { entryOf, valuesOf } from "./artifacts/storedEntry.ts"

export interface ArtifactsDbOptions {
  /** The file; made with mode 0600 where it is missing. Its directory must exist. */
  readonly path: string
}

/** Indexes as they concern an image or a manifest; what the row itself says of it first. */
const usesBy = (column: "image_digest" | "original_digest") => `
  SELECT a.digest, size, type, u.original_digest, u.image_digest, u.platform, location, media_type, artifact_type,
    created_at, span_size
  FROM index_uses u JOIN artifacts a ON a.digest = u.digest
  WHERE u.${column} = ? AND a.media_type = ?
  ORDER BY a.digest, u.image_digest = a.image_digest AND u.original_digest = a.original_digest DESC, u.image_digest
`

const statements = (database: DatabaseSync) => ({
  write: database.prepare("INSERT OR REPLACE INTO artifacts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
  get: database.prepare("SELECT * FROM artifacts WHERE digest = ?"),
  page: database.prepare("SELECT * FROM artifacts WHERE digest > ? ORDER BY digest LIMIT 256"),
  pageOfType: database.prepare("SELECT * FROM artifacts WHERE digest > ? AND type = ? ORDER BY digest LIMIT 256"),
  use: database.prepare("INSERT OR REPLACE INTO index_uses VALUES (?, ?, ?, ?)"),
  indexesOfImage: database.prepare(usesBy("image_digest")),
  indexesOfManifest: database.prepare(usesBy("original_digest")),
  ztocOfLayer: database.prepare(
    "SELECT * FROM artifacts WHERE original_digest = ? AND type = 'soci_layer' AND span_size = ? ORDER BY digest LIMIT 1"
  ),
  moveIndex: database.prepare("UPDATE artifacts SET original_digest = ?, image_digest = ? WHERE digest = ?"),
  remove: database.prepare("DELETE FROM artifacts WHERE digest = ? AND created_at = ?"),
  removeAny: database.prepare("DELETE FROM artifacts WHERE digest = ?"),
  removeIndex: database.prepare("DELETE FROM artifacts WHERE digest = ? AND media_type = ?")
})

const inTransaction = <A>(database: DatabaseSync, run: () => A): A => {
  database.exec("BEGIN IMMEDIATE")
  try {
    const result = run()
    database.exec("COMMIT")
    return result
  } catch (cause) {
    database.exec("ROLLBACK")
    throw cause
  }
}

/** Each digest once: the first row of it. */
const withoutRepeats = (entries: ReadonlyArray<ArtifactEntry>): ReadonlyArray<ArtifactEntry> =>
  entries.filter(({ digest }, i) => entries[i - 1]?.digest !== digest)

const allOf = (statement: StatementSync, ...values: ReadonlyArray<string | number>) =>
  statement.all(...values).map(entryOf)

export const layer = ({ path }: ArtifactsDbOptions) =>
  Layer.effect(
    ArtifactsDb,
    Effect.gen(function* () {
      const attempt = attemptOn(path)
      const database = yield* Effect.acquireRelease(
        attempt("open", () => openArtifactsFile(path)),
        (opened) => Effect.sync(() => opened.close())
      )
      const run = statements(database)

      const find = (digest: Digest) =>
        attempt("read", () => {
          const row = run.get.get(digest)
          return row === undefined ? undefined : entryOf(row)
        })

      const get = Effect.fnUntraced(function* (digest: Digest) {
        return (yield* find(digest)) ?? (yield* new ArtifactNotFound({ digest }))
      })

      const pages = (page: (last: string) => ReadonlyArray<ArtifactEntry>) =>
        Stream.paginate("", (last: string) =>
          Effect.map(
            attempt("list", () => page(last)),
            (rows) => [rows, Option.map(Option.fromUndefinedOr(rows.at(-1)), ({ digest }) => digest)] as const
          )
        )
      const entries = pages((last) => allOf(run.page, last))

      const write = (entry: ArtifactEntry) => {
        run.write.run(...valuesOf(entry))
        if (entry.type !== "soci_index") return
        run.use.run(entry.digest, entry.originalDigest, entry.imageDigest, entry.platform)
      }

      const move = (digest: Digest, originalDigest: Digest, imageDigest: Digest): boolean => {
        const row = run.get.get(digest)
        if (row === undefined) return false
        run.moveIndex.run(originalDigest, imageDigest, digest)
        run.use.run(digest, originalDigest, imageDigest, entryOf(row).platform)
        return true
      }

      return ArtifactsDb.of({
        entries,
        entriesOfType: (type) => pages((last) => allOf(run.pageOfType, last, type)),
        get,
        write: (entry) => attempt("write", () => inTransaction(database, () => write(entry))),
        indexesOfImage: (image) =>
          attempt("read", () => withoutRepeats(allOf(run.indexesOfImage, image, MediaType.ociManifest))),
        indexesOfManifest: (manifest) =>
          attempt("read", () => withoutRepeats(allOf(run.indexesOfManifest, manifest, MediaType.ociManifest))),
        ztocOfLayer: (layerDigest, spanSize) =>
          attempt("read", () => Option.fromUndefinedOr(allOf(run.ztocOfLayer, layerDigest, spanSize)[0])),
        moveIndex: Effect.fnUntraced(function* (digest, { originalDigest, imageDigest }) {
          const moved = yield* attempt("write", () =>
            inTransaction(database, () => move(digest, originalDigest, imageDigest))
          )
          if (!moved) return yield* new ArtifactNotFound({ digest })
        }),
        remove: Effect.fnUntraced(function* (digest) {
          const { changes } = yield* attempt("write", () => run.removeAny.run(digest))
          if (changes === 0) return yield* new ArtifactNotFound({ digest })
        }),
        removeIndex: Effect.fnUntraced(function* (digest) {
          const { changes } = yield* attempt("write", () => run.removeIndex.run(digest, MediaType.ociManifest))
          if (changes !== 0) return
          yield* get(digest)
          return yield* new NotAnIndex({ digest })
        }),
        removeOld: Effect.fnUntraced(function* (exists) {
          const old = yield* entries.pipe(
            Stream.filterEffect(({ digest }) => Effect.map(exists(digest), (found) => !found)),
            Stream.runCollect
          )
          // A row that was written anew meanwhile is for content that is there.
          yield* attempt("write", () =>
            inTransaction(database, () => {
              for (const { digest, createdAt } of old) run.remove.run(digest, createdAt.getTime())
            })
          )
          return old.map(({ digest }) => digest)
        })
      })
    })
  )

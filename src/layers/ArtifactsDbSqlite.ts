/**
 * The artifacts data base in an SQLite file. Processes share it: each operation is one transaction, and one that finds it locked
 * waits without blocking this process.
 */
import { Effect, Layer, Option, Schedule, Schema, Stream } from "effect"
import { chmodSync, closeSync, openSync } from "node:fs"
import { DatabaseSync, type SQLOutputValue, type StatementSync } from "node:sqlite"
import { causeMessage } from "../services/causeMessage.ts"
import { ArtifactEntry, ArtifactNotFound, ArtifactsDb, ArtifactsDbFailed, NotAnIndex } from "../services/ArtifactsDb.ts"
import { Digest } from "../services/Descriptor.ts"
import { MediaType } from "../services/MediaType.ts"

export interface ArtifactsDbOptions {
  /** The file; made with mode 0600 where it is missing. Its directory must exist. */
  readonly path: string
}

/** Kept in the file (`user_version`), so that a later version can tell what it finds. */
const schemaVersion = 1

const tables = `
  CREATE TABLE IF NOT EXISTS artifacts (
    digest TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    type TEXT NOT NULL,
    original_digest TEXT NOT NULL,
    image_digest TEXT NOT NULL,
    platform TEXT NOT NULL,
    location TEXT NOT NULL,
    media_type TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    span_size INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS artifacts_by_original ON artifacts (original_digest, type);
  CREATE INDEX IF NOT EXISTS artifacts_by_image ON artifacts (image_digest);
  PRAGMA user_version = ${schemaVersion};
`

/** SQLite's primary result codes (sqlite3.h) that are answered in a way of their own. */
const busy = 5
const notADatabase = 26

const resultCode = (cause: unknown): number | undefined =>
  cause instanceof Error && "errcode" in cause && typeof cause.errcode === "number" ? cause.errcode & 0xff : undefined

/** Another process commits in milliseconds; one that is stopped in the middle must not stop us for ever. */
const whileLocked = Schedule.spaced("20 millis").pipe(Schedule.upTo({ times: 500 }))

type Row = Record<string, SQLOutputValue>

const StoredEntry = Schema.Struct({
  digest: Digest,
  size: Schema.Int,
  type: ArtifactEntry.fields.type,
  original_digest: Schema.String,
  image_digest: Schema.String,
  platform: Schema.String,
  location: Schema.String,
  media_type: Schema.String,
  artifact_type: Schema.String,
  created_at: Schema.Int,
  span_size: Schema.Int
})
const decodeStored = Schema.decodeUnknownSync(StoredEntry)

const entryOf = (row: Row): ArtifactEntry => {
  const stored = decodeStored(row)
  return new ArtifactEntry({
    digest: stored.digest,
    size: stored.size,
    type: stored.type,
    originalDigest: stored.original_digest,
    imageDigest: stored.image_digest,
    platform: stored.platform,
    location: stored.location,
    mediaType: stored.media_type,
    artifactType: stored.artifact_type,
    createdAt: new Date(stored.created_at),
    spanSize: stored.span_size
  })
}

const failed = (operation: string, path: string, cause: unknown) => {
  const told = causeMessage(cause)
  const advice = resultCode(cause) === notADatabase ? "; move it away and run soci rebuild-db" : ""
  return new ArtifactsDbFailed({ operation, path, reason: told + advice, cause })
}

/** Runs one operation; waits as long as another process has the file locked. */
const attemptOn =
  (path: string) =>
  <A>(operation: string, run: () => A): Effect.Effect<A, ArtifactsDbFailed> =>
    Effect.try({ try: run, catch: (cause) => failed(operation, path, cause) }).pipe(
      Effect.retry({ schedule: whileLocked, while: ({ cause }) => resultCode(cause) === busy })
    )

const open = (path: string): DatabaseSync => {
  closeSync(openSync(path, "a", 0o600))
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
    const version = database.prepare("PRAGMA user_version").get()?.["user_version"]
    if (typeof version === "number" && version > schemaVersion) {
      throw new Error(`it was written by a later version (${version}); this one knows ${schemaVersion}`)
    }
    if (version !== schemaVersion) database.exec(`BEGIN IMMEDIATE; ${tables} COMMIT;`)
    chmodSync(path, 0o600)
    return database
  } catch (cause) {
    database.close()
    throw cause
  }
}

const statements = (database: DatabaseSync) => ({
  write: database.prepare("INSERT OR REPLACE INTO artifacts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
  get: database.prepare("SELECT * FROM artifacts WHERE digest = ?"),
  page: database.prepare("SELECT * FROM artifacts WHERE digest > ? ORDER BY digest LIMIT 256"),
  indexesOfImage: database.prepare("SELECT * FROM artifacts WHERE image_digest = ? AND media_type = ? ORDER BY digest"),
  indexesOfManifest: database.prepare(
    "SELECT * FROM artifacts WHERE original_digest = ? AND type = 'soci_index' ORDER BY digest"
  ),
  ztocOfLayer: database.prepare(
    "SELECT * FROM artifacts WHERE original_digest = ? AND type = 'soci_layer' AND span_size = ? ORDER BY digest LIMIT 1"
  ),
  moveIndex: database.prepare("UPDATE artifacts SET original_digest = ?, image_digest = ? WHERE digest = ?"),
  remove: database.prepare("DELETE FROM artifacts WHERE digest = ? AND created_at = ?"),
  removeIndex: database.prepare("DELETE FROM artifacts WHERE digest = ? AND media_type = ?")
})

/** In the order of the table's columns. */
const valuesOf = (entry: ArtifactEntry): ReadonlyArray<string | number> => [
  entry.digest,
  entry.size,
  entry.type,
  entry.originalDigest,
  entry.imageDigest,
  entry.platform,
  entry.location,
  entry.mediaType,
  entry.artifactType,
  entry.createdAt.getTime(),
  entry.spanSize
]

const inTransaction = (database: DatabaseSync, run: () => void): void => {
  database.exec("BEGIN IMMEDIATE")
  try {
    run()
    database.exec("COMMIT")
  } catch (cause) {
    database.exec("ROLLBACK")
    throw cause
  }
}

const allOf = (statement: StatementSync, ...values: ReadonlyArray<string | number>) =>
  statement.all(...values).map(entryOf)

export const layer = ({ path }: ArtifactsDbOptions) =>
  Layer.effect(
    ArtifactsDb,
    Effect.gen(function* () {
      const attempt = attemptOn(path)
      const database = yield* Effect.acquireRelease(
        attempt("open", () => open(path)),
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

      const entries = Stream.paginate("", (last: string) =>
        Effect.map(
          attempt("list", () => allOf(run.page, last)),
          (page) => [page, Option.map(Option.fromUndefinedOr(page.at(-1)), ({ digest }) => digest)] as const
        )
      )

      return ArtifactsDb.of({
        entries,
        get,
        write: (entry) => attempt("write", () => void run.write.run(...valuesOf(entry))),
        indexesOfImage: (image) => attempt("read", () => allOf(run.indexesOfImage, image, MediaType.ociManifest)),
        indexesOfManifest: (manifest) => attempt("read", () => allOf(run.indexesOfManifest, manifest)),
        ztocOfLayer: (layerDigest, spanSize) =>
          attempt("read", () => Option.fromUndefinedOr(allOf(run.ztocOfLayer, layerDigest, spanSize)[0])),
        moveIndex: Effect.fnUntraced(function* (digest, { originalDigest, imageDigest }) {
          const { changes } = yield* attempt("write", () => run.moveIndex.run(originalDigest, imageDigest, digest))
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

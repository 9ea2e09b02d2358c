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
const schemaVersion = 2

/** A file of version 1 has no `index_uses`: what its rows say is taken over. */
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
  CREATE TABLE IF NOT EXISTS index_uses (
    digest TEXT NOT NULL,
    original_digest TEXT NOT NULL,
    image_digest TEXT NOT NULL,
    platform TEXT NOT NULL,
    PRIMARY KEY (digest, original_digest, image_digest)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS index_uses_by_original ON index_uses (original_digest);
  CREATE INDEX IF NOT EXISTS index_uses_by_image ON index_uses (image_digest);
  CREATE TRIGGER IF NOT EXISTS no_use_without_artifact AFTER DELETE ON artifacts
    BEGIN DELETE FROM index_uses WHERE digest = OLD.digest; END;
  INSERT OR IGNORE INTO index_uses
    SELECT digest, original_digest, image_digest, platform FROM artifacts WHERE type = 'soci_index';
  PRAGMA user_version = ${schemaVersion};
`

/** SQLite's primary result codes (sqlite3.h) that are answered in a way of their own. */
const busy = 5
const notADatabase = 26

const resultCode = (cause: unknown): number | undefined =>
  cause instanceof Error && "errcode" in cause && typeof cause.errcode === "number" ? cause.errcode & 0xff : undefined

/** Another process commits in milliseconds; one that is stopped in the middle must not stop us for ever: 10 seconds. */
const refusalsTaken = 500
const refusalsUnmentioned = 50
const whileLocked = Schedule.spaced("20 millis").pipe(Schedule.upTo({ times: refusalsTaken }))

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

const isBusy = ({ cause }: ArtifactsDbFailed): boolean => resultCode(cause) === busy

/** Runs one operation; waits as long as another process has the file locked, and says so when it takes longer than a second. */
const attemptOn =
  (path: string) =>
  <A>(operation: string, run: () => A): Effect.Effect<A, ArtifactsDbFailed> =>
    Effect.suspend(() => {
      let refusals = 0
      const mention = (error: ArtifactsDbFailed) =>
        isBusy(error) && ++refusals === refusalsUnmentioned
          ? Effect.logWarning(`waiting for the artifacts data base ${path}: another process has it locked`)
          : Effect.void
      return Effect.try({ try: run, catch: (cause) => failed(operation, path, cause) }).pipe(
        Effect.tapError(mention),
        Effect.retry({ schedule: whileLocked, while: isBusy }),
        Effect.mapError((error) => {
          if (!isBusy(error)) return error
          const reason = "another process has had it locked for 10 seconds; end that process, or try again later"
          return new ArtifactsDbFailed({ operation, path, reason, cause: error.cause })
        })
      )
    })

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

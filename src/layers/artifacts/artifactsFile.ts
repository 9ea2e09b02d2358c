/**
 * The file of the artifacts data base: its tables, how it is opened, and how an operation waits while another process has it locked.
 */
import { Effect, Schedule } from "effect"
import { chmodSync, closeSync, openSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { ArtifactsDbFailed } from "../../services/ArtifactsDb.ts"
import { causeMessage } from "../../services/causeMessage.ts"

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

const failed = (operation: string, path: string, cause: unknown) => {
  const told = causeMessage(cause)
  const advice = resultCode(cause) === notADatabase ? "; move it away and run soci rebuild-db" : ""
  return new ArtifactsDbFailed({ operation, path, reason: told + advice, cause })
}

const isBusy = ({ cause }: ArtifactsDbFailed): boolean => resultCode(cause) === busy

/** Runs one operation; waits as long as another process has the file locked, and says so when it takes longer than a second. */
export const attemptOn =
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

/** Opens the file, and makes it where it is missing, readable for its owner only. */
export const openArtifactsFile = (path: string): DatabaseSync => {
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

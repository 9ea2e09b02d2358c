import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Logger, Option, Result, Stream } from "effect"
import { TestClock } from "effect/testing"
import { spawn } from "node:child_process"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import * as ArtifactsDbSqlite from "../../src/layers/ArtifactsDbSqlite.ts"
import { type ArtifactEntry, ArtifactsDb } from "../../src/services/ArtifactsDb.ts"
import { digest, indexEntry, ztocEntry } from "../support/artifactEntries.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const writer = fileURLToPath(new URL("../support/writeArtifacts.ts", import.meta.url))

const fileInTemporaryDirectory = Effect.map(temporaryDirectory, (directory) => path.join(directory, "artifacts.sqlite"))

const db = fileInTemporaryDirectory.pipe(
  Effect.map((file) => ArtifactsDbSqlite.layer({ path: file })),
  Layer.unwrap
)

/** What a process wrote before it ended, or was killed when it had written `killAfter` rows. */
const writeInProcess = (file: string, prefix: string, count: number, killAfter = Infinity) =>
  Effect.callback<ReadonlyArray<string>>((resume) => {
    const child = spawn(process.execPath, [writer, file, prefix, String(count)], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    let output = ""
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString()
      if (output.split("\n").length > killAfter) child.kill("SIGKILL")
    })
    child.on("close", () => resume(Effect.succeed(output.split("\n").slice(0, -1))))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

describe("the artifacts data base", () => {
  it.effect("gives back every field of what was written, and the latest of it", () =>
    Effect.gen(function* () {
      const artifacts = yield* ArtifactsDb
      yield* artifacts.write(ztocEntry("a", { size: 1 }))
      yield* artifacts.write(ztocEntry("a", { size: Number.MAX_SAFE_INTEGER }))
      yield* artifacts.write(indexEntry("b"))
      assert.deepStrictEqual(
        { ...(yield* artifacts.get(digest("a"))) },
        { ...ztocEntry("a", { size: Number.MAX_SAFE_INTEGER }) }
      )
      assert.deepStrictEqual({ ...(yield* artifacts.get(digest("b"))) }, { ...indexEntry("b") })
    }).pipe(Effect.provide(db))
  )

  it.effect("lists all rows in byte order of their digests, however many", () =>
    Effect.gen(function* () {
      const artifacts = yield* ArtifactsDb
      assert.isEmpty(yield* Stream.runCollect(artifacts.entries))
      const written = Array.from({ length: 600 }, (_, i) => ztocEntry(String(i)))
      for (const entry of written) yield* artifacts.write(entry)
      const listed = yield* Stream.runCollect(artifacts.entries)
      assert.deepStrictEqual(
        listed.map((entry) => entry.digest),
        written.map((entry) => entry.digest).toSorted()
      )
    }).pipe(Effect.provide(db))
  )

  it.effect("finds indexes by image and by manifest, and not other artifacts", () =>
    Effect.gen(function* () {
      const artifacts = yield* ArtifactsDb
      const shared = { imageDigest: digest("image"), originalDigest: digest("manifest") }
      yield* artifacts.write(indexEntry("one", shared))
      yield* artifacts.write(indexEntry("two", shared))
      yield* artifacts.write(indexEntry("other"))
      yield* artifacts.write(ztocEntry("ztoc", { originalDigest: digest("manifest"), imageDigest: digest("image") }))
      const expected = [digest("one"), digest("two")].toSorted()
      assert.deepStrictEqual(
        (yield* artifacts.indexesOfImage(digest("image"))).map((entry) => entry.digest),
        expected
      )
      assert.deepStrictEqual(
        (yield* artifacts.indexesOfManifest(digest("manifest"))).map((entry) => entry.digest),
        expected
      )
    }).pipe(Effect.provide(db))
  )

  it.effect("finds the ztoc of a layer only with the same span size", () =>
    Effect.gen(function* () {
      const artifacts = yield* ArtifactsDb
      yield* artifacts.write(ztocEntry("ztoc", { originalDigest: digest("layer"), spanSize: 4096 }))
      const found = yield* artifacts.ztocOfLayer(digest("layer"), 4096)
      assert.strictEqual(Option.getOrThrow(found).digest, digest("ztoc"))
      assert.isTrue(Option.isNone(yield* artifacts.ztocOfLayer(digest("layer"), 8192)))
    }).pipe(Effect.provide(db))
  )

  it.effect("moves an index to the image that was made of its image", () =>
    Effect.gen(function* () {
      const artifacts = yield* ArtifactsDb
      const to = { originalDigest: digest("new manifest"), imageDigest: digest("new image") }
      yield* artifacts.write(indexEntry("index"))
      yield* artifacts.moveIndex(digest("index"), to)
      assert.deepInclude(
        { ...(yield* artifacts.get(digest("index"))) },
        { ...to, location: indexEntry("index").location }
      )
      const error = yield* Effect.flip(artifacts.moveIndex(digest("none"), to))
      assert.strictEqual(error.message, `couldn't retrieve artifact for ${digest("none")}, not found`)
    }).pipe(Effect.provide(db))
  )

  it.effect("finds an index by every image that shares it, as it concerns that image, and once", () =>
    Effect.gen(function* () {
      const artifacts = yield* ArtifactsDb
      const shared = indexEntry("shared", { imageDigest: digest("image one"), originalDigest: digest("manifest one") })
      yield* artifacts.write(shared)
      yield* artifacts.moveIndex(shared.digest, {
        originalDigest: digest("manifest two"),
        imageDigest: digest("image two")
      })
      yield* artifacts.write(indexEntry("shared", { ...shared, originalDigest: digest("another manifest of one") }))
      for (const image of ["image one", "image two"]) {
        const found = yield* artifacts.indexesOfImage(digest(image))
        assert.deepStrictEqual(
          found.map((entry) => [entry.digest as string, entry.imageDigest]),
          [[shared.digest, digest(image)]]
        )
      }
      for (const manifest of ["manifest one", "manifest two", "another manifest of one"]) {
        const found = yield* artifacts.indexesOfManifest(digest(manifest))
        assert.deepStrictEqual(
          found.map((entry) => entry.originalDigest),
          [digest(manifest)]
        )
      }
      yield* artifacts.removeIndex(shared.digest)
      yield* artifacts.write(shared)
      assert.deepStrictEqual(yield* artifacts.indexesOfImage(digest("image two")), [])
    }).pipe(Effect.provide(db))
  )

  it.effect("lists the rows of one type, however many, and removes any", () =>
    Effect.gen(function* () {
      const artifacts = yield* ArtifactsDb
      for (let i = 0; i < 300; i++) yield* artifacts.write(ztocEntry(`ztoc ${i}`))
      yield* artifacts.write(indexEntry("index"))
      yield* artifacts.write(ztocEntry("prefetch", { type: "soci_prefetch" }))
      const count = (type: ArtifactEntry["type"]) => Stream.runCount(artifacts.entriesOfType(type))
      assert.deepStrictEqual(
        [yield* count("soci_layer"), yield* count("soci_index"), yield* count("soci_prefetch")],
        [300, 1, 1]
      )
      yield* artifacts.remove(digest("prefetch"))
      assert.strictEqual(yield* count("soci_prefetch"), 0)
      assert.strictEqual((yield* Effect.flip(artifacts.remove(digest("prefetch"))))._tag, "ArtifactNotFound")
    }).pipe(Effect.provide(db))
  )

  it.effect("removes indexes, and says what is none or not there", () =>
    Effect.gen(function* () {
      const artifacts = yield* ArtifactsDb
      yield* artifacts.write(indexEntry("index"))
      yield* artifacts.write(ztocEntry("ztoc"))
      yield* artifacts.removeIndex(digest("index"))
      assert.strictEqual((yield* Effect.flip(artifacts.get(digest("index"))))._tag, "ArtifactNotFound")
      assert.strictEqual((yield* Effect.flip(artifacts.removeIndex(digest("index"))))._tag, "ArtifactNotFound")
      assert.strictEqual((yield* Effect.flip(artifacts.removeIndex(digest("ztoc"))))._tag, "NotAnIndex")
    }).pipe(Effect.provide(db))
  )

  it.effect("removes rows whose content is gone, but not one written anew meanwhile", () =>
    Effect.gen(function* () {
      const artifacts = yield* ArtifactsDb
      for (const name of ["kept", "gone", "back"]) yield* artifacts.write(ztocEntry(name))
      const removed = yield* artifacts.removeOld((of) =>
        of === digest("back")
          ? Effect.as(artifacts.write(ztocEntry("back", { createdAt: new Date(1_800_000_000_000) })), false)
          : Effect.succeed(of === digest("kept"))
      )
      assert.include(removed, digest("gone"))
      const left = yield* Stream.runCollect(artifacts.entries)
      assert.deepStrictEqual(
        left.map((entry) => entry.digest),
        [digest("kept"), digest("back")].toSorted()
      )
    }).pipe(Effect.provide(db))
  )

  it.effect("removes nothing when a store cannot say what it has", () =>
    Effect.gen(function* () {
      const artifacts = yield* ArtifactsDb
      yield* artifacts.write(ztocEntry("a"))
      assert.strictEqual(yield* Effect.flip(artifacts.removeOld(() => Effect.fail("store is down"))), "store is down")
      assert.lengthOf(yield* Stream.runCollect(artifacts.entries), 1)
    }).pipe(Effect.provide(db))
  )
})

describe("an artifacts data base on disk", () => {
  it.live("loses nothing of two processes that write at once", () =>
    Effect.gen(function* () {
      const file = yield* fileInTemporaryDirectory
      const written = yield* Effect.all([writeInProcess(file, "one-", 150), writeInProcess(file, "two-", 150)], {
        concurrency: 2
      })
      assert.deepStrictEqual(
        written.map((rows) => rows.length),
        [150, 150]
      )
      const rows = yield* ArtifactsDb.use(({ entries }) => Stream.runCollect(entries)).pipe(
        Effect.provide(ArtifactsDbSqlite.layer({ path: file }))
      )
      assert.deepStrictEqual(
        rows.map((row) => row.digest as string),
        written.flat().toSorted()
      )
    })
  )

  it.live("has every row that a killed process had reported", () =>
    Effect.gen(function* () {
      const file = yield* fileInTemporaryDirectory
      const reported = yield* writeInProcess(file, "killed-", 100_000, 40)
      const rows = yield* ArtifactsDb.use(({ entries }) => Stream.runCollect(entries)).pipe(
        Effect.provide(ArtifactsDbSqlite.layer({ path: file }))
      )
      const digests = new Set<string>(rows.map((row) => row.digest))
      assert.isAtLeast(reported.length, 40)
      assert.deepStrictEqual(
        reported.filter((row) => !digests.has(row)),
        []
      )
    })
  )

  it.effect("waits for its lock, says so, and gives up in the end", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => void lines.push(String(message)))
      const file = yield* fileInTemporaryDirectory
      const artifacts = Context.get(yield* Layer.build(ArtifactsDbSqlite.layer({ path: file })), ArtifactsDb)
      const other = new DatabaseSync(file)
      yield* Effect.addFinalizer(() => Effect.sync(() => other.close()))
      const writing = Effect.provide(artifacts.write(ztocEntry("a")), Logger.layer([logger]))

      other.exec("BEGIN IMMEDIATE")
      const waiting = yield* Effect.forkChild(writing)
      yield* TestClock.adjust("2 seconds")
      assert.lengthOf(lines, 1)
      assert.include(lines[0], `waiting for the artifacts data base ${file}`)
      other.exec("ROLLBACK")
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(waiting)
      assert.strictEqual((yield* artifacts.get(digest("a"))).digest, digest("a"))

      other.exec("BEGIN IMMEDIATE")
      const refused = yield* Effect.forkChild(Effect.flip(writing))
      yield* TestClock.adjust("11 seconds")
      assert.include((yield* Fiber.join(refused)).message, "another process has had it locked for 10 seconds")
    })
  )

  it.live("takes over what a file of version 1 says", () =>
    Effect.gen(function* () {
      const file = yield* fileInTemporaryDirectory
      const entry = indexEntry("index")
      yield* Effect.scoped(
        Effect.flatMap(Layer.build(ArtifactsDbSqlite.layer({ path: file })), (built) =>
          Context.get(built, ArtifactsDb).write(entry)
        )
      )
      const old = new DatabaseSync(file)
      old.exec("DROP TRIGGER no_use_without_artifact; DROP TABLE index_uses; PRAGMA user_version = 1")
      old.close()
      const found = yield* ArtifactsDb.use(({ indexesOfManifest }) =>
        indexesOfManifest(digest("manifest of index"))
      ).pipe(Effect.provide(ArtifactsDbSqlite.layer({ path: file })))
      assert.deepStrictEqual(
        found.map((row) => ({ ...row })),
        [{ ...entry }]
      )
    })
  )

  it.live("is readable for its owner only", () =>
    Effect.gen(function* () {
      const file = yield* fileInTemporaryDirectory
      yield* Effect.scoped(Layer.build(ArtifactsDbSqlite.layer({ path: file })))
      assert.strictEqual((yield* Effect.promise(() => fs.stat(file))).mode & 0o777, 0o600)
    })
  )

  it.live("says what it found instead, and what to do", () =>
    Effect.gen(function* () {
      const file = yield* fileInTemporaryDirectory
      yield* Effect.promise(() => fs.writeFile(file, Buffer.alloc(8192, "no data base ")))
      const garbage = yield* Effect.result(Effect.scoped(Layer.build(ArtifactsDbSqlite.layer({ path: file }))))
      assert.match(Result.isFailure(garbage) ? garbage.failure.message : "", /cannot open .*not a database.*rebuild-db/)

      const later = yield* fileInTemporaryDirectory
      new DatabaseSync(later).exec("PRAGMA user_version = 99")
      const newer = yield* Effect.result(Effect.scoped(Layer.build(ArtifactsDbSqlite.layer({ path: later }))))
      assert.match(Result.isFailure(newer) ? newer.failure.message : "", /later version \(99\)/)

      const nowhere = yield* Effect.result(
        Effect.scoped(
          Layer.build(ArtifactsDbSqlite.layer({ path: path.join(later, "..", "missing", "artifacts.sqlite") }))
        )
      )
      assert.match(Result.isFailure(nowhere) ? nowhere.failure.message : "", /ENOENT/)
    })
  )
})

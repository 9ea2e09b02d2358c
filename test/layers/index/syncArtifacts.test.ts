import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, Stream } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as ArtifactsDbSqlite from "../../../src/layers/ArtifactsDbSqlite.ts"
import * as ContentStoreLayout from "../../../src/layers/ContentStoreLayout.ts"
import { syncArtifacts } from "../../../src/layers/index/syncArtifacts.ts"
import { type ArtifactEntry, ArtifactsDb } from "../../../src/services/ArtifactsDb.ts"
import { type ContentStore, ContentStoreFailed } from "../../../src/services/ContentStore.ts"
import { maxDocumentBytes } from "../../../src/services/Image.ts"
import { MediaType } from "../../../src/services/MediaType.ts"
import { emptyObject, SociAnnotation } from "../../../src/services/SociIndex.ts"
import { digest, ztocEntry } from "../../support/artifactEntries.ts"
import { chunked, descriptorOf, json, noise } from "../../support/content.ts"
import { caseOf, platform, vectorFile } from "../../support/indexVectors.ts"
import { vectorBuilder } from "../../support/vectorBuilder.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

type Store = ContentStore["Service"]

const databaseFile = Effect.map(temporaryDirectory, (directory) => path.join(directory, "artifacts.sqlite"))

const openDb = (file: string) =>
  Effect.map(Layer.build(ArtifactsDbSqlite.layer({ path: file })), (built) => Context.get(built, ArtifactsDb))

const freshDb = Effect.flatMap(databaseFile, openDb)

const rowsOf = (db: ArtifactsDb["Service"]) =>
  Effect.map(Stream.runCollect(db.entries), (entries) =>
    entries.map(({ createdAt: _created, ...rest }) => ({ ...rest }))
  )

const sourceStore = (name: string) => ContentStoreLayout.open({ root: vectorFile(`${name}/input`), readOnly: true })

const put = (store: Store, bytes: Uint8Array) =>
  Effect.map(store.ingest(descriptorOf(bytes), chunked(bytes, 100_000)), () => descriptorOf(bytes))

/** An index without an image. */
const indexBytes = (rest: object, version: "v1" | "v2" = "v1") =>
  json({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config: {
      mediaType: version === "v1" ? MediaType.sociIndexV1 : MediaType.sociIndexV2,
      digest: emptyObject.digest,
      size: 2
    },
    layers: [],
    ...rest
  })

const subject = { mediaType: MediaType.ociManifest, digest: digest("nowhere"), size: 1 }

/** Where an index was built for is not known to anybody any more when it is found again. */
const withoutLocation = (rows: ReadonlyArray<Omit<ArtifactEntry, "createdAt">>) =>
  rows.map(({ location: _location, ...rest }) => rest)

/** Runs with the log kept. */
const withLog = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
  const lines: Array<string> = []
  const logger = Logger.make(({ message }) => void lines.push(String(message)))
  return Effect.map(Effect.provide(effect, Logger.layer([logger])), (result) => [result, lines] as const)
}

describe("rebuilding the artifacts data base", () => {
  it.live("gives the rows of v1 indexes and of all they list, as they were written when they were built", () =>
    Effect.gen(function* () {
      for (const name of ["oci-single", "prefetch"]) {
        const { build, db, store } = yield* vectorBuilder(name)
        yield* build("v1", caseOf(name).create?.[0], platform("linux/amd64"))
        const fresh = yield* freshDb
        const { added, skipped } = yield* syncArtifacts(fresh, store, { subjectStore: yield* sourceStore(name) })
        assert.lengthOf(added, 1)
        assert.deepStrictEqual(skipped, [])
        assert.deepStrictEqual(yield* rowsOf(fresh), yield* rowsOf(db))
      }
    })
  )

  it.live("finds v2 indexes by the images that name them, prefetch artifacts among what they list", () =>
    Effect.gen(function* () {
      for (const name of ["docker-list", "prefetch"]) {
        const { convert, db, store } = yield* vectorBuilder(name)
        const run = caseOf(name).convert?.[0]
        const converted = yield* convert(run)
        const fresh = yield* freshDb
        yield* syncArtifacts(fresh, store, { subjectStore: yield* sourceStore(name) })
        assert.deepStrictEqual(withoutLocation(yield* rowsOf(fresh)), withoutLocation(yield* rowsOf(db)))
        const found = yield* fresh.indexesOfImage(converted.descriptor.digest)
        assert.sameMembers(
          found.map((row) => row.digest as string),
          [...new Set(converted.indexes.map(({ descriptor }) => descriptor.digest))]
        )
      }
    })
  )

  it.live("finds a v2 index by its manifest alone, when the image index is elsewhere", () =>
    Effect.gen(function* () {
      const { convert, store } = yield* vectorBuilder("oci-single")
      const { descriptor, indexes } = yield* convert(caseOf("oci-single").convert?.[0])
      const file = path.join(store.location, "blobs/sha256", descriptor.digest.slice("sha256:".length))
      yield* Effect.promise(() => fs.rm(file))
      const fresh = yield* freshDb
      const { added } = yield* syncArtifacts(fresh, store, { subjectStore: yield* sourceStore("oci-single") })
      assert.deepStrictEqual(
        added,
        indexes.map((index) => index.descriptor.digest)
      )
    })
  )

  it.live("warns of an index whose manifest is missing, and goes on", () =>
    Effect.gen(function* () {
      const { build, store } = yield* vectorBuilder("oci-single")
      const built = yield* build("v1", caseOf("oci-single").create?.[0], platform("linux/amd64"))
      const orphan = yield* put(store, indexBytes({ subject }))
      const alone = yield* put(store, indexBytes({}, "v2"))
      const fresh = yield* freshDb
      const sync = syncArtifacts(fresh, store, { subjectStore: yield* sourceStore("oci-single") })
      const [{ added, skipped }, log] = yield* withLog(sync)
      assert.deepStrictEqual(added, [built.descriptor.digest])
      assert.sameMembers(
        skipped.map((one) => one.digest as string),
        [orphan.digest, alone.digest]
      )
      assert.isTrue(
        log.some((line) => line.includes(orphan.digest) && line.includes("is not in")),
        log.join("\n")
      )
    })
  )

  it.live("passes over what is no index, however large, damaged or misleading", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const store = yield* ContentStoreLayout.open({ root })
      const read = new Set<string>()
      const watched: Store = {
        ...store,
        readDocument: (descriptor) => {
          read.add(descriptor.digest)
          return store.readDocument(descriptor)
        }
      }
      const huge = yield* put(store, Buffer.concat([Buffer.from("{"), noise(maxDocumentBytes)]))
      const layer = yield* put(store, noise(1000))
      yield* put(store, json({}))
      yield* put(store, json({ text: "application/vnd.amazon.soci.index.v1+json", manifests: 1, config: [] }))
      yield* put(store, indexBytes({}))
      const spanSize = { [SociAnnotation.spanSize]: "many", [SociAnnotation.imageLayerDigest]: digest("layer") }
      yield* put(store, indexBytes({ subject, layers: [{ ...layer, annotations: spanSize }] }))
      const fresh = yield* freshDb
      const { added, skipped } = yield* syncArtifacts(fresh, watched, { subjectStore: watched })
      assert.deepStrictEqual(added, [])
      assert.sameMembers(
        skipped.map(({ reason }) => reason),
        ["it has no subject", `failed to parse span size from annotations for layer ${digest("layer")}`]
      )
      assert.deepStrictEqual(yield* rowsOf(fresh), [])
      assert.isFalse(read.has(huge.digest) || read.has(layer.digest))
    })
  )

  it.live("takes away the rows whose content is gone, and says what it could not do", () =>
    Effect.gen(function* () {
      const store = yield* ContentStoreLayout.open({ root: yield* temporaryDirectory })
      const db = yield* freshDb
      const kept = yield* put(store, noise(100))
      yield* db.write(ztocEntry("kept", { digest: kept.digest }))
      yield* db.write(ztocEntry("gone"))
      const { removed } = yield* syncArtifacts(db, store, { subjectStore: store })
      assert.deepStrictEqual(removed, [digest("gone")])

      const down = new ContentStoreFailed({ operation: "list", store: "x", reference: "x", reason: "it is down" })
      const noList: Store = { ...store, blobs: Stream.fail(down) }
      const noExists: Store = { ...store, exists: () => Effect.fail(down) }
      const adding = yield* Effect.flip(syncArtifacts(db, noList, { subjectStore: noList }))
      assert.strictEqual(adding.message, `failed to add new artifacts to db: ${down.message}`)
      const removing = yield* Effect.flip(syncArtifacts(db, noExists, { subjectStore: noExists }))
      assert.strictEqual(removing.message, `failed to remove old artifacts from db: ${down.message}`)
      assert.lengthOf(yield* rowsOf(db), 1)
    })
  )

  it.live("may be killed while another process uses the data base, and goes on the next time", () =>
    Effect.gen(function* () {
      const { convert, store } = yield* vectorBuilder("docker-list")
      yield* convert(caseOf("docker-list").convert?.[0])
      const expected = yield* freshDb
      const subjects = { subjectStore: yield* sourceStore("docker-list") }
      yield* syncArtifacts(expected, store, subjects)
      const script = fileURLToPath(new URL("../../support/syncForever.ts", import.meta.url))
      const file = yield* databaseFile
      const db = yield* openDb(file)
      for (const kill of [1, 3, 7]) {
        const child = spawn(process.execPath, [script, file, store.location, vectorFile("docker-list/input")], {
          stdio: ["ignore", "pipe", "inherit"]
        })
        for (let i = 0; i < kill; i++) yield* Effect.promise(() => once(child.stdout, "data"))
        yield* db.write(ztocEntry(`meanwhile ${kill}`))
        child.kill("SIGKILL")
        yield* Effect.promise(() => once(child, "exit"))
      }
      yield* syncArtifacts(db, store, subjects)
      assert.deepStrictEqual(yield* rowsOf(db), yield* rowsOf(expected))
    })
  )
})

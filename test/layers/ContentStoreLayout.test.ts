import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, Scope, Stream } from "effect"
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import * as ContentStoreLayout from "../../src/layers/ContentStoreLayout.ts"
import { ContentStore } from "../../src/services/ContentStore.ts"
import { MediaType } from "../../src/services/MediaType.ts"
import { chunked, descriptorOf, json, noise } from "../support/content.ts"
import { contentStoreSuite } from "../support/contentStoreSuite.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

contentStoreSuite(
  "ContentStoreLayout",
  Effect.map(temporaryDirectory, (root) => ContentStoreLayout.layer({ root }))
)

const openStore = (root: string, readOnly = false) =>
  Effect.map(Layer.build(ContentStoreLayout.layer({ root, readOnly })), (built) => Context.get(built, ContentStore))

const indexOf = (root: string) => readFileSync(path.join(root, "index.json"), "utf8")

const put = (store: ContentStore["Service"], bytes: Uint8Array, mediaType?: string) => {
  const descriptor = descriptorOf(bytes, mediaType)
  return Effect.as(store.ingest(descriptor, chunked(bytes, 1000)), descriptor)
}

const manifest = (name: string) =>
  json({ schemaVersion: 2, config: descriptorOf(json({}), MediaType.ociConfig), layers: [], annotations: { name } })

const entry = (name: string, tag?: string) => ({
  ...descriptorOf(manifest(name), MediaType.ociManifest),
  ...(tag === undefined ? {} : { annotations: { "org.opencontainers.image.ref.name": tag } })
})

const manifestsOf = (root: string): unknown => JSON.parse(indexOf(root)).manifests
const byDigest = (left: { readonly digest: string }, right: { readonly digest: string }) =>
  left.digest < right.digest ? -1 : 1

describe("ContentStoreLayout", () => {
  it.live("makes an empty directory a layout, and leaves a layout as it is", () =>
    Effect.gen(function* () {
      const root = path.join(yield* temporaryDirectory, "a/b")
      yield* openStore(root)
      assert.strictEqual(readFileSync(path.join(root, "oci-layout"), "utf8"), '{"imageLayoutVersion":"1.0.0"}')
      const empty = '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
      assert.strictEqual(indexOf(root), empty)
      yield* Effect.promise(() => fs.writeFile(path.join(root, "index.json"), "{}"))
      yield* openStore(root)
      assert.strictEqual(indexOf(root), "{}")
    })
  )

  it.live("refuses what is no layout, or one of another version", () =>
    Effect.gen(function* () {
      for (const [file, text] of [
        ["oci-layout", "whatever"],
        ["oci-layout", '{"imageLayoutVersion":"1.0.1"}'],
        ["oci-layout", "{}"],
        ["index.json", "whatever"],
        ["index.json", "[]"]
      ] as const) {
        const root = yield* temporaryDirectory
        yield* Effect.promise(() => fs.writeFile(path.join(root, file), text))
        const error = yield* Effect.flip(openStore(root))
        assert.strictEqual(error._tag, "ContentStoreFailed")
        assert.strictEqual(error.operation, "open")
      }
    })
  )

  it.live("opens for reading only what is there, and changes nothing", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      assert.strictEqual((yield* Effect.flip(openStore(root, true)))._tag, "ContentStoreFailed")
      assert.deepStrictEqual(yield* Effect.promise(() => fs.readdir(root)), [])

      const image = yield* Effect.flatMap(openStore(root), (store) => put(store, manifest("1"), MediaType.ociManifest))
      const store = yield* openStore(root, true)
      assert.deepStrictEqual(yield* store.resolve(image.digest), image)
      const errors = [
        yield* Effect.flip(put(store, noise(10))),
        yield* Effect.flip(store.tag(image, "v1")),
        yield* Effect.flip(store.untag("v1"))
      ]
      for (const error of errors) assert.include(error.message, "opened for reading only")
    })
  )

  it.live("writes index.json as the reference does, in one order", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const store = yield* openStore(root)
      const one = yield* put(store, manifest("1"), MediaType.ociManifest)
      const two = yield* put(store, manifest("2"), MediaType.ociManifest)
      yield* put(store, noise(10))
      assert.deepStrictEqual(manifestsOf(root), [entry("1"), entry("2")].toSorted(byDigest))
      yield* store.tag(one, "b")
      yield* store.tag(one, "a")
      assert.deepStrictEqual(manifestsOf(root), [entry("1", "a"), entry("1", "b"), entry("2")])
      yield* store.untag("a")
      yield* store.tag(two, "b")
      assert.deepStrictEqual(manifestsOf(root), [entry("2", "b"), entry("1")])
      yield* store.tag(one, one.digest)
      assert.deepStrictEqual(manifestsOf(root), [entry("2", "b"), entry("1")])
    })
  )

  it.live("replaces another ref.name by the tag, and keeps other annotations", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const store = yield* openStore(root)
      const one = yield* put(store, manifest("1"), MediaType.ociManifest)
      yield* store.tag({ ...one, annotations: { "org.opencontainers.image.ref.name": "zzz", key: "1" } }, "latest")
      assert.deepStrictEqual(manifestsOf(root), [
        { ...one, annotations: { key: "1", "org.opencontainers.image.ref.name": "latest" } }
      ])
      assert.deepStrictEqual(yield* store.resolve("latest"), { ...one, annotations: { key: "1" } })
      assert.deepStrictEqual(yield* store.resolve(one.digest), one)
    })
  )

  it.live("keeps what others wrote into index.json and it does not understand", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const foreign = { mediaType: "application/x", digest: `sha512:${"0".repeat(128)}`, size: 9007199254740992 }
      const broken = { mediaType: "application/y", digest: "not a digest", size: 1, annotations: { b: "1", a: "2" } }
      yield* openStore(root)
      const written = json({ schemaVersion: 2, annotations: { own: "1" }, manifests: [foreign, broken] })
      yield* Effect.promise(() => fs.writeFile(path.join(root, "index.json"), written))
      const store = yield* openStore(root)
      yield* put(store, manifest("1"), MediaType.ociManifest)
      const after = JSON.parse(indexOf(root))
      assert.deepStrictEqual(after.annotations, { own: "1" })
      assert.deepStrictEqual(after.manifests, [entry("1"), foreign, broken])
    })
  )

  it.live("writes blobs that nobody can change, and leaves no temporary file after a failure", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const store = yield* openStore(root)
      const { digest } = yield* put(store, noise(1000))
      const stat = yield* Effect.promise(() => fs.stat(path.join(root, "blobs/sha256", digest.slice(7))))
      assert.strictEqual(stat.mode & 0o777, 0o444)

      const failing = Stream.concat(chunked(noise(500, 2), 100), Stream.fail("reset"))
      yield* Effect.flip(store.ingest(descriptorOf(noise(1000, 2)), failing))
      assert.deepStrictEqual(yield* Effect.promise(() => fs.readdir(path.join(root, "ingest"))), [])
    })
  )

  it.live("keeps no manifest that is no JSON", () =>
    Effect.gen(function* () {
      const store = yield* openStore(yield* temporaryDirectory)
      const error = yield* Effect.flip(put(store, noise(100), MediaType.ociManifest))
      assert.strictEqual(error._tag, "ContentStoreFailed")
      assert.isFalse(yield* store.exists(descriptorOf(noise(100)).digest))
    })
  )

  it.live("replaces a blob that a crash cut short, and does not open it before", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const store = yield* openStore(root)
      const descriptor = yield* put(store, noise(1000))
      const file = path.join(root, "blobs/sha256", descriptor.digest.slice(7))
      yield* Effect.promise(() => fs.rm(file).then(() => fs.writeFile(file, noise(500))))
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(store.read(descriptor))))._tag, "ContentMismatch")
      assert.strictEqual((yield* Effect.flip(Effect.scoped(store.open(descriptor))))._tag, "ContentStoreFailed")
      yield* put(store, noise(1000))
      yield* Stream.runDrain(store.read(descriptor))
    })
  )

  it.live("does not wait for a pipe that lies in the place of a blob", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const store = yield* openStore(root)
      const descriptor = descriptorOf(noise(1000))
      const file = path.join(root, "blobs/sha256", descriptor.digest.slice(7))
      yield* Effect.promise(() => promisify(execFile)("mkfifo", [file]))
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(store.read(descriptor))))._tag, "ContentStoreFailed")
    })
  )

  it.live("sweeps what dead writers left, and not what living ones are writing", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const store = yield* openStore(root)
      const ingest = path.join(root, "ingest")
      const stale = path.join(ingest, `${"0".repeat(64)}_effect-0123456789abcdef`)
      const foreign = path.join(ingest, `${"0".repeat(64)}_123`)
      yield* Effect.promise(() => fs.writeFile(stale, "half").then(() => fs.writeFile(foreign, "half")))
      const living = chunked(noise(1000), 100).pipe(
        Stream.tap(() => Effect.scoped(Effect.asVoid(openStore(root))), { concurrency: 1 })
      )
      yield* store.ingest(descriptorOf(noise(1000)), living)
      assert.deepStrictEqual(yield* Effect.promise(() => fs.readdir(ingest)), [path.basename(foreign)])
      assert.isTrue(yield* store.exists(descriptorOf(noise(1000)).digest))
    })
  )

  it.live("sees at once what another store object changes in the same directory", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const [one, two] = [yield* openStore(root), yield* openStore(root)]
      const image = yield* put(one, manifest("1"), MediaType.ociManifest)
      yield* one.tag(image, "v1")
      assert.deepStrictEqual(yield* two.single, Option.some(image))
    })
  )

  it.live("does not count a SOCI index among the images", () =>
    Effect.gen(function* () {
      const store = yield* openStore(yield* temporaryDirectory)
      const image = yield* put(store, manifest("1"), MediaType.ociManifest)
      const artifact = { ...descriptorOf(manifest("2"), MediaType.ociManifest), artifactType: MediaType.sociIndexV1 }
      yield* store.ingest(artifact, chunked(manifest("2"), 100))
      assert.deepStrictEqual(yield* store.single, Option.some(image))
    })
  )

  it.live("finds referrers below an image index, and around a damaged manifest", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const store = yield* openStore(root)
      const subject = yield* put(store, manifest("subject"), MediaType.ociManifest)
      const config = descriptorOf(json({}), "application/sig")
      const bytes = json({ schemaVersion: 2, config, layers: [], subject })
      const referrer = yield* put(store, bytes)
      const child = { ...referrer, mediaType: MediaType.ociManifest }
      yield* put(store, json({ schemaVersion: 2, manifests: [child] }), MediaType.ociIndex)
      const damaged = yield* put(store, manifest("damaged"), MediaType.ociManifest)
      yield* Effect.promise(() => fs.rm(path.join(root, "blobs/sha256", damaged.digest.slice(7))))
      const expected = [{ ...child, artifactType: "application/sig" }]
      assert.deepStrictEqual(yield* store.referrers(subject.digest), expected)
      assert.deepStrictEqual(yield* store.referrers(subject.digest), expected)
    })
  )

  it.live("closes the file of a blob with its scope", () =>
    Effect.gen(function* () {
      const store = yield* openStore(yield* temporaryDirectory)
      const descriptor = yield* put(store, noise(1000))
      const scope = yield* Scope.make()
      const blob = yield* Scope.provide(store.open(descriptor), scope)
      yield* Stream.runDrain(blob.read(0, 10))
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(blob.read(0, 10))))._tag, "BlobReadFailed")
    })
  )

  it.live("loses no tag of two processes that tag at the same time", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const store = yield* openStore(root)
      const image = yield* put(store, manifest("1"), MediaType.ociManifest)
      const script = fileURLToPath(new URL("../support/tagMany.ts", import.meta.url))
      const runs = ["a", "b"].map((prefix) => run([script, root, image.digest, String(image.size), prefix, "40"]))
      yield* Effect.all(runs, { concurrency: 2 })
      const tags = (yield* store.tags).map(({ tag }) => tag)
      const expected = ["a", "b"].flatMap((prefix) => Array.from({ length: 40 }, (_, i) => `${prefix}${i}`))
      assert.deepStrictEqual(tags, expected.toSorted())
    })
  )

  it.live("sweeps at the next opening what a killed process was writing", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const store = yield* openStore(root)
      const ingest = path.join(root, "ingest")
      const script = fileURLToPath(new URL("../support/ingestForever.ts", import.meta.url))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const child = yield* Effect.acquireRelease(
            Effect.sync(() => spawn(process.execPath, [script, root], { stdio: ["ignore", "pipe", "inherit"] })),
            (running) =>
              Effect.callback<void>((resume) => {
                running.once("exit", () => resume(Effect.void))
                running.kill("SIGKILL")
              })
          )
          yield* Effect.promise(() => once(child.stdout, "data"))
          yield* openStore(root)
          assert.strictEqual((yield* Effect.promise(() => fs.readdir(ingest))).length, 1)
        })
      )
      assert.strictEqual((yield* Effect.promise(() => fs.readdir(ingest))).length, 1)
      yield* openStore(root)
      assert.deepStrictEqual(yield* Effect.promise(() => fs.readdir(ingest)), [])
      assert.deepStrictEqual(yield* store.tags, [])
    })
  )
})

const run = (args: ReadonlyArray<string>) => Effect.promise(() => promisify(execFile)(process.execPath, args))

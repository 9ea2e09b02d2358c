/**
 * What every content store must do, whatever it is made of. `layer` gives an empty store each time it is built.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, type Layer, Option, Stream } from "effect"
import { ContentStore } from "../../src/services/ContentStore.ts"
import type { Descriptor } from "../../src/services/Descriptor.ts"
import { maxDocumentBytes } from "../../src/services/Image.ts"
import { MediaType } from "../../src/services/MediaType.ts"
import { chunked, descriptorOf, json, noise } from "./content.ts"

const content = noise(700_000)
const descriptor = descriptorOf(content)

const bytesOf = <E, R>(stream: Stream.Stream<Uint8Array, E, R>) =>
  Effect.map(Stream.runCollect(stream), (chunks) => Buffer.concat(chunks))

const put = (store: ContentStore["Service"], bytes: Uint8Array, mediaType?: string) => {
  const stored = descriptorOf(bytes, mediaType)
  return Effect.as(store.ingest(stored, chunked(bytes, 60_000)), stored)
}

const empty = descriptorOf(json({}), "application/vnd.example.config+json")

/** A manifest that says what it is by its annotation, and may refer to another. */
const manifest = (name: string, subject?: Descriptor, artifactType?: string) =>
  json({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    artifactType,
    config: empty,
    layers: [],
    subject,
    annotations: { name }
  })

const testOn =
  <E>(layer: Layer.Layer<ContentStore, E>) =>
  <A, E2>(sentence: string, body: (store: ContentStore["Service"]) => Effect.Effect<A, E2>) =>
    it.live(sentence, () => ContentStore.use(body).pipe(Effect.provide(layer)))

export const contentStoreContract = <E>(name: string, layer: Layer.Layer<ContentStore, E>) =>
  describe(`${name} is a content store`, () => {
    const test = testOn(layer)

    test("gives back what was ingested, whole and by ranges", (store) =>
      Effect.gen(function* () {
        assert.isFalse(yield* store.exists(descriptor.digest))
        yield* store.ingest(descriptor, chunked(content, 99_999))

        assert.isTrue(yield* store.exists(descriptor.digest))
        assert.deepStrictEqual(yield* bytesOf(store.read(descriptor)), Buffer.from(content))
        const range = yield* Effect.scoped(
          Effect.flatMap(store.open(descriptor), (blob) => bytesOf(blob.read(1_000, 600_000)))
        )
        assert.deepStrictEqual(range, Buffer.from(content.subarray(1_000, 601_000)))
      }))

    test("holds the content of no bytes too", (store) =>
      Effect.gen(function* () {
        const stored = yield* put(store, new Uint8Array(0))
        assert.strictEqual((yield* store.readDocument(stored)).length, 0)
      }))

    for (const [what, wrong] of [
      ["other bytes", noise(content.length, 2)],
      ["fewer bytes", content.subarray(1)],
      ["more bytes", Buffer.concat([content, noise(1)])]
    ] as const) {
      test(`refuses ${what} than were promised, and keeps nothing of them`, (store) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(store.ingest(descriptor, chunked(wrong, 60_000)))
          assert.strictEqual(error._tag, "ContentMismatch")
          assert.isFalse(yield* store.exists(descriptor.digest))
          yield* store.ingest(descriptor, chunked(content, 60_000))
        }))
    }

    test("shows nothing of an interrupted ingest", (store) =>
      Effect.gen(function* () {
        const begun = yield* Deferred.make<void>()
        const endless = chunked(content, 60_000).pipe(
          Stream.take(3),
          Stream.concat(Stream.fromEffectDrain(Deferred.succeed(begun, undefined))),
          Stream.concat(Stream.never)
        )
        const ingest = yield* Effect.forkChild(store.ingest(descriptor, endless))
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(ingest)
        assert.isFalse(yield* store.exists(descriptor.digest))
      }))

    test("fails with what its source failed with", (store) =>
      Effect.gen(function* () {
        const failing = Stream.concat(chunked(content.subarray(0, 100), 10), Stream.fail("connection reset" as const))
        assert.strictEqual(yield* Effect.flip(store.ingest(descriptor, failing)), "connection reset")
        assert.isFalse(yield* store.exists(descriptor.digest))
      }))

    test("does not read the source of what it has", (store) =>
      Effect.gen(function* () {
        yield* put(store, content)
        yield* store.ingest(descriptor, Stream.die("must not be read"))
      }))

    test("takes the same content from many at once", (store) =>
      Effect.gen(function* () {
        yield* Effect.all(
          Array.from({ length: 16 }, () => put(store, content)),
          { concurrency: "unbounded", discard: true }
        )
        assert.deepStrictEqual(yield* bytesOf(store.read(descriptor)), Buffer.from(content))
      }))

    test("fails to read, open, resolve and tag what it does not have", (store) =>
      Effect.gen(function* () {
        const errors = yield* Effect.all([
          Effect.flip(Stream.runDrain(store.read(descriptor))),
          Effect.flip(store.readDocument(descriptor)),
          Effect.flip(Effect.scoped(store.open(descriptor))),
          Effect.flip(store.resolve(descriptor.digest)),
          Effect.flip(store.resolve("no-such-tag")),
          Effect.flip(store.tag(descriptor, "v1")),
          Effect.flip(store.untag("no-such-tag"))
        ])
        assert.deepStrictEqual(
          errors.map(({ _tag }) => _tag),
          errors.map(() => "ContentNotFound")
        )
      }))

    test("refuses to read beyond the end of a blob", (store) =>
      Effect.gen(function* () {
        yield* put(store, content)
        const reads = Effect.flatMap(store.open(descriptor), (blob) =>
          Effect.all([
            Effect.flip(bytesOf(blob.read(content.length - 1, 2))),
            Effect.flip(bytesOf(blob.read(-1, 2))),
            bytesOf(blob.read(content.length, 0))
          ])
        )
        const [beyond, before, nothing] = yield* Effect.scoped(reads)
        assert.strictEqual(beyond._tag, "BlobReadFailed")
        assert.strictEqual(before._tag, "BlobReadFailed")
        assert.strictEqual(nothing.length, 0)
      }))

    test("reads no document of more than 4 MiB into memory", (store) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(store.readDocument({ ...descriptor, size: maxDocumentBytes + 1 }))
        assert.strictEqual(error._tag, "ContentStoreFailed")
      }))

    test("names content by tags, which move", (store) =>
      Effect.gen(function* () {
        const [one, two] = [
          yield* put(store, manifest("1"), MediaType.ociManifest),
          yield* put(store, manifest("2"), MediaType.ociManifest)
        ]
        yield* store.tag(one, "v2")
        yield* store.tag(one, "v1")
        yield* store.tag(two, "v2")
        assert.deepStrictEqual(yield* store.tags, [
          { tag: "v1", descriptor: one },
          { tag: "v2", descriptor: two }
        ])
        assert.deepStrictEqual(yield* store.resolve("v2"), two)
        assert.deepStrictEqual(yield* store.resolve(one.digest), one)

        yield* store.untag("v1")
        assert.deepStrictEqual(
          (yield* store.tags).map(({ tag }) => tag),
          ["v2"]
        )
        assert.isTrue(yield* store.exists(one.digest))
      }))

    test("knows its only image, and that two are not one", (store) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* store.single, Option.none())
        const one = yield* put(store, manifest("1"), MediaType.ociManifest)
        yield* store.tag(one, "v1")
        yield* store.tag(one, "latest")
        assert.deepStrictEqual(yield* store.single, Option.some(one))
        const two = yield* put(store, manifest("2"), MediaType.ociManifest)
        yield* store.tag(two, "v2")
        assert.deepStrictEqual(yield* store.single, Option.none())
      }))

    test("finds the manifests that refer to another, by artifact type", (store) =>
      Effect.gen(function* () {
        const subject = yield* put(store, manifest("image"), MediaType.ociManifest)
        const signature = yield* put(store, manifest("signature", subject, "application/sig"), MediaType.ociManifest)
        const other = yield* put(store, manifest("other", subject), MediaType.ociManifest)
        const expected = [
          { ...signature, annotations: { name: "signature" }, artifactType: "application/sig" },
          { ...other, annotations: { name: "other" }, artifactType: empty.mediaType }
        ]
        const found = yield* store.referrers(subject.digest)
        assert.sameDeepMembers([...found], expected)
        assert.deepStrictEqual(yield* store.referrers(subject.digest, "application/sig"), expected.slice(0, 1))
        assert.deepStrictEqual(yield* store.referrers(other.digest), [])
      }))
  })

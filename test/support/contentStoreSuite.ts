/**
 * What every content store must do with more than single calls: ranges at their borders, several clients, limits, removal. `place` makes a
 * store that is empty; each time its layer is built there is another client of it. The single calls are in contentStoreContract.ts.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, type Scope, Stream } from "effect"
import { ContentStore } from "../../src/services/ContentStore.ts"
import { maxDocumentBytes } from "../../src/services/Image.ts"
import { MediaType } from "../../src/services/MediaType.ts"
import { chunked, descriptorOf, json, noise } from "./content.ts"
import { contentStoreContract } from "./contentStoreContract.ts"

type Store = ContentStore["Service"]
type Place<E, E2> = Effect.Effect<Layer.Layer<ContentStore, E>, E2, Scope.Scope>

/** More than one window of any store. */
const content = Buffer.concat(Array.from({ length: 10 }, () => noise(1024 * 1024)))
const blob = descriptorOf(content)
const small = noise(100_000, 3)

export const bytesOf = <E, R>(stream: Stream.Stream<Uint8Array, E, R>) =>
  Effect.map(Stream.runCollect(stream), (chunks) => Buffer.concat(chunks))

export const put = (store: Store, bytes: Uint8Array, mediaType?: string) => {
  const stored = descriptorOf(bytes, mediaType)
  return Effect.as(store.ingest(stored, chunked(bytes, 100_000)), stored)
}

/** A client of what the layer leads to. */
export const openClient = <E>(layer: Layer.Layer<ContentStore, E>) =>
  Effect.map(Layer.build(Layer.fresh(layer)), (built) => Context.get(built, ContentStore))

const digestsOf = (store: Store) =>
  Effect.map(Stream.runCollect(store.blobs), (blobs) => blobs.map(({ digest, size }) => ({ digest, size })))

/** A source that begins, and never ends. */
const begun = Effect.gen(function* () {
  const started = yield* Deferred.make<void>()
  const source = chunked(content.subarray(0, 3_000_000), 1_000_000).pipe(
    Stream.concat(Stream.fromEffectDrain(Deferred.succeed(started, undefined))),
    Stream.concat(Stream.never)
  )
  return { source, started: Deferred.await(started) }
})

const image = Effect.fnUntraced(function* (store: Store) {
  const config = yield* put(store, json({ architecture: "amd64" }), MediaType.ociConfig)
  const layer = yield* put(store, small, MediaType.ociLayerGzip)
  const bytes = json({ schemaVersion: 2, mediaType: MediaType.ociManifest, config, layers: [layer] })
  return { config, layer, manifest: yield* put(store, bytes, MediaType.ociManifest) }
})

/** Tests with two clients of one store. */
const testOn =
  <E, E2>(place: Place<E, E2>) =>
  <A, E3>(sentence: string, body: (one: Store, two: Store) => Effect.Effect<A, E3, Scope.Scope>) =>
    it.live(sentence, () =>
      Effect.gen(function* () {
        const layer = yield* place
        return yield* body(yield* openClient(layer), yield* openClient(layer))
      })
    )

export const contentStoreSuite = <E, E2>(name: string, place: Place<E, E2>) => {
  contentStoreContract(name, Layer.unwrap(place))

  describe(`${name} among its clients`, () => {
    const test = testOn(place)

    test("reads ranges at the borders of everything", (store) =>
      Effect.gen(function* () {
        yield* store.ingest(blob, chunked(content, 700_001))
        const opened = yield* store.open(blob)
        const mebi = 1024 * 1024
        const borders = [0, 1, mebi, 4 * mebi, 8 * mebi, blob.size].flatMap((at) => [at - 1, at, at + 1])
        for (const start of borders.filter((at) => at >= 0 && at <= blob.size)) {
          for (const length of [0, 1, 2, 4 * mebi].filter((bytes) => start + bytes <= blob.size)) {
            const read = yield* bytesOf(opened.read(start, length))
            assert.isTrue(content.subarray(start, start + length).equals(read), `[${start}, ${start + length})`)
          }
        }
        assert.isTrue(content.equals(yield* bytesOf(store.read(blob))))
      }))

    test("shows at once what another client ingests, tags and deletes", (one, two) =>
      Effect.gen(function* () {
        const { manifest, layer } = yield* image(one)
        assert.isTrue(yield* two.exists(layer.digest))
        yield* two.tag(manifest, "example.com/app:v1")
        assert.deepStrictEqual(yield* one.resolve("example.com/app:v1"), manifest)
        yield* one.untag("example.com/app:v1")
        assert.deepStrictEqual(yield* two.tags, [])
        yield* two.delete(layer)
        assert.isFalse(yield* one.exists(layer.digest))
      }))

    test("takes one blob from two clients at the same time", (one, two) =>
      Effect.gen(function* () {
        const both = [one, two].map((store) => store.ingest(blob, chunked(content, 300_000)))
        yield* Effect.all(both, { concurrency: 2 })
        assert.isTrue(content.equals(yield* bytesOf(one.read(blob))))
      }))

    test("lets another client ingest what an interrupted one began", (one, two) =>
      Effect.gen(function* () {
        const { source, started } = yield* begun
        const ingest = yield* Effect.forkChild(one.ingest(blob, source))
        yield* started
        yield* Fiber.interrupt(ingest)
        assert.isFalse(yield* two.exists(blob.digest))
        yield* two.ingest(blob, chunked(content, 1_000_000))
        assert.isTrue(content.equals(yield* bytesOf(one.read(blob))))
      }))

    test("lists its blobs in the order of their digests", (store) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* digestsOf(store), [])
        const stored = []
        for (let seed = 1; seed <= 5; seed++) stored.push(yield* put(store, noise(100 * seed, seed)))
        const expected = stored.map(({ digest, size }) => ({ digest, size }))
        assert.deepStrictEqual(
          yield* digestsOf(store),
          expected.toSorted((left, right) => (left.digest < right.digest ? -1 : 1))
        )
      }))

    test("deletes a blob once", (store) =>
      Effect.gen(function* () {
        const stored = yield* put(store, small)
        yield* store.delete(stored)
        assert.isFalse(yield* store.exists(stored.digest))
        assert.strictEqual((yield* Effect.flip(store.delete(stored)))._tag, "ContentNotFound")
        yield* put(store, small)
      }))

    test("collects what no tag leads to, and nothing else", (store) =>
      Effect.gen(function* () {
        const { manifest, config, layer } = yield* image(store)
        yield* store.label(manifest.digest, "containerd.io/gc.ref.content.config", config.digest)
        yield* store.label(manifest.digest, "containerd.io/gc.ref.content.l.0", layer.digest)
        yield* store.tag(manifest, "example.com/app:v1")
        const garbage = yield* put(store, noise(1000, 9))
        yield* store.collectGarbage
        const kept = yield* digestsOf(store)
        assert.sameMembers(
          kept.map(({ digest }) => digest),
          [manifest.digest, config.digest, layer.digest]
        )
        assert.isFalse(yield* store.exists(garbage.digest))
      }))

    test("says what points to a blob directly", (store) =>
      Effect.gen(function* () {
        const { manifest, config, layer } = yield* image(store)
        const index = yield* put(
          store,
          json({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [manifest] }),
          MediaType.ociIndex
        )
        const predecessors = (digest: typeof layer.digest) =>
          Effect.map(store.predecessors(digest), (found) => found.map((descriptor) => descriptor.digest))
        assert.deepStrictEqual(yield* predecessors(layer.digest), [manifest.digest])
        assert.deepStrictEqual(yield* predecessors(config.digest), [manifest.digest])
        assert.deepStrictEqual(yield* predecessors(manifest.digest), [index.digest])
        assert.deepStrictEqual(yield* predecessors(index.digest), [])
      }))

    test("takes no manifest of more than 4 MiB, and none that is no JSON", (store) =>
      Effect.gen(function* () {
        const large = { ...descriptorOf(small, MediaType.ociManifest), size: maxDocumentBytes + 1 }
        const tooLarge = yield* Effect.flip(store.ingest(large, Stream.die("must not be read")))
        assert.strictEqual(tooLarge._tag, "ContentStoreFailed")
        const noJson = yield* Effect.flip(put(store, small, MediaType.ociIndex))
        assert.strictEqual(noJson._tag, "ContentStoreFailed")
        assert.deepStrictEqual(yield* digestsOf(store), [])
      }))

    test("refuses a wrong size for content that it has", (store) =>
      Effect.gen(function* () {
        const stored = yield* put(store, small)
        const wrong = { ...stored, size: stored.size + 1 }
        const source = chunked(small, 10_000)
        assert.strictEqual((yield* Effect.flip(store.ingest(wrong, source)))._tag, "ContentMismatch")
        assert.strictEqual((yield* Effect.flip(bytesOf(store.read(wrong))))._tag, "ContentMismatch")
        assert.isTrue(Buffer.from(small).equals(yield* bytesOf(store.read(stored))))
      }))

    test("runs what a lease is taken for, also one within another", (store) =>
      Effect.gen(function* () {
        const leased = store.withLease(store.withLease(put(store, small)))
        assert.isTrue(yield* store.exists((yield* leased).digest))
        assert.strictEqual(yield* Effect.flip(store.withLease(Effect.fail("own" as const))), "own")
      }))
  })
}

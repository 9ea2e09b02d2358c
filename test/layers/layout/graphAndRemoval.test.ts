import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import * as path from "node:path"
import * as ContentStoreLayout from "../../../src/layers/ContentStoreLayout.ts"
import { json, utf8 } from "../../support/content.ts"
import {
  artifact,
  blobFile,
  config,
  type Content,
  content,
  entriesOf,
  graph,
  graphPredecessors,
  imageIndex,
  layer,
  manifest,
  predecessorNames,
  present,
  push,
  pushAll,
  refName,
  type Store
} from "../../support/layoutStore.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const openStore = (options: Partial<ContentStoreLayout.LayoutOptions> = {}) =>
  Effect.flatMap(temporaryDirectory, (root) => ContentStoreLayout.open({ root, ...options }))

const allPredecessors = (store: Store) =>
  Effect.forEach(Object.entries(graph), ([name, one]) =>
    Effect.map(predecessorNames(store, graph, one), (found) => [name, found] as const)
  ).pipe(Effect.map((entries): Readonly<Record<string, ReadonlyArray<string>>> => Object.fromEntries(entries)))

/** Copies all content below a root and gives it the root's tag, as a caller does it who knows two stores. */
const copyGraph = Effect.fnUntraced(function* (from: Store, to: Store, tag: string, contents: ReadonlyArray<Content>) {
  for (const { descriptor } of contents) yield* to.ingest(descriptor, from.read(descriptor))
  yield* to.tag(yield* from.resolve(tag), tag)
})

const digestName = (text: string) => layer(text).descriptor.digest.slice("sha256:".length)

const index = (store: Store) => path.join(store.location, "index.json")

describe("the graph of a layout (oci-layout-store, 13: 38 to 40)", () => {
  it.live("knows what points to what, however it was pushed, also when it is opened again (38, 39, 67)", () =>
    Effect.gen(function* () {
      const store = yield* openStore()
      yield* pushAll(store, Object.values(graph), 16)
      assert.deepStrictEqual(yield* allPredecessors(store), graphPredecessors)
      yield* store.tag(graph.I10.descriptor, "latest")
      for (const readOnly of [false, true]) {
        const again = yield* ContentStoreLayout.open({ root: store.location, readOnly })
        assert.deepStrictEqual(yield* again.resolve("latest"), graph.I10.descriptor)
        assert.deepStrictEqual(yield* again.resolve(graph.A12.descriptor.digest), graph.A12.descriptor)
        const { digest, size } = graph.C0.descriptor
        assert.deepStrictEqual(yield* again.resolve(digest), { mediaType: "application/octet-stream", digest, size })
        for (const { descriptor, bytes } of Object.values(graph)) {
          assert.deepStrictEqual(yield* again.readDocument(descriptor), Buffer.from(bytes))
        }
        assert.deepStrictEqual(yield* allPredecessors(again), graphPredecessors)
      }
    })
  )

  it.live("is copied from store to store, whole and where a part is there already (40)", () =>
    Effect.gen(function* () {
      const from = yield* openStore()
      yield* pushAll(from, Object.values(graph))
      yield* from.tag(graph.I10.descriptor, "latest")
      for (const there of [[], [graph.C0, graph.L1, graph.M4]]) {
        const to = yield* openStore()
        yield* pushAll(to, there)
        yield* copyGraph(from, to, "latest", Object.values(graph))
        assert.deepStrictEqual(yield* to.resolve("latest"), graph.I10.descriptor)
        assert.deepStrictEqual(yield* present(to, graph), Object.keys(graph))
      }
    })
  )

  it.live("lists its blobs in byte order of their digests, and nothing else that lies there", () =>
    Effect.gen(function* () {
      const store = yield* openStore()
      yield* pushAll(store, Object.values(graph))
      writeFileSync(path.join(store.location, "blobs/sha256/other"), "x")
      mkdirSync(path.join(store.location, "blobs/sha256", "0".repeat(64)))
      const expected = Object.values(graph).map(({ descriptor: { digest, size } }) => ({ digest, size }))
      assert.deepStrictEqual(
        yield* Stream.runCollect(store.blobs),
        expected.toSorted((a, b) => (a.digest < b.digest ? -1 : 1))
      )
    })
  )
})

describe("deleting from a layout (oci-layout-store, 13: 45 to 58 and 75)", () => {
  it.live("takes content and its tags away, once (45, 46, 47, 75)", () =>
    Effect.gen(function* () {
      const store = yield* openStore()
      const descriptor = yield* push(store, layer("foo"))
      yield* store.tag(descriptor, "v1")
      yield* store.readDocument(descriptor)
      yield* store.delete(descriptor)
      assert.isFalse(yield* store.exists(descriptor.digest))
      assert.deepStrictEqual(yield* store.tags, [])
      assert.deepStrictEqual(entriesOf(store), [])
      assert.strictEqual((yield* Effect.flip(store.delete(descriptor)))._tag, "ContentNotFound")
    })
  )

  it.live("takes one blob and no more where garbage is not collected by itself (48, 49, 50)", () =>
    Effect.gen(function* () {
      const { I10: _I10, I9: _I9, A12: _A12, A14: _A14, ...contents } = graph
      const store = yield* openStore({ autoGC: false })
      yield* pushAll(store, Object.values(contents))
      const of = (one: Content) => predecessorNames(store, contents, one)
      yield* store.delete(contents.M6.descriptor)
      assert.deepStrictEqual(yield* of(contents.M6), ["I8"])
      assert.deepStrictEqual(yield* of(contents.L1), ["M4"])
      yield* store.delete(contents.I8.descriptor)
      assert.deepStrictEqual(yield* of(contents.M6), [])
      yield* store.delete(contents.M5.descriptor)
      assert.deepStrictEqual(yield* of(contents.C0), ["M4"])
      assert.deepStrictEqual(yield* of(contents.L3), [])
      assert.deepStrictEqual(yield* of(contents.M5), ["I7"])
      const gone = new Set(["M6", "I8", "M5"])
      assert.deepStrictEqual(
        yield* present(store, contents),
        Object.keys(contents).filter((name) => !gone.has(name))
      )
    })
  )

  it.live("takes along what nothing needs and what refers to it (51, 52, 53)", () =>
    Effect.gen(function* () {
      const [L1, L2, L3, L9] = [layer("foo"), layer("bar"), layer("hello"), layer("nine")]
      const [M4, M5, M6] = [manifest([L1]), manifest([L2]), manifest([L3])]
      const [I7, I8] = [imageIndex([M4, M5]), imageIndex([M6])]
      const M10 = manifest([L9], M6)
      const M11 = manifest([L2], M10)
      const contents = { C0: config, L1, L2, L3, M4, M5, M6, I7, I8, L9, M10, M11 }
      const store = yield* openStore()
      yield* pushAll(store, Object.values(contents))
      const goneAfter = Effect.fnUntraced(function* (target: Content) {
        const before = yield* present(store, contents)
        yield* store.delete(target.descriptor)
        const after = new Set(yield* present(store, contents))
        return before.filter((name) => !after.has(name))
      })
      assert.deepStrictEqual(yield* goneAfter(M4), ["L1", "M4"])
      assert.deepStrictEqual(yield* goneAfter(I8), ["I8"])
      assert.deepStrictEqual(yield* goneAfter(M6), ["L3", "M6", "L9", "M10", "M11"])
      assert.deepStrictEqual(yield* present(store, contents), ["C0", "L2", "M5", "I7"])
      assert.deepStrictEqual(yield* predecessorNames(store, contents, config), ["M5"])
      assert.deepStrictEqual(yield* predecessorNames(store, contents, L2), ["M5"])
      assert.deepStrictEqual(yield* predecessorNames(store, contents, M4), ["I7"])
    })
  )

  it.live("keeps what has a tag, with all below it (54, 55)", () =>
    Effect.gen(function* () {
      const layers = ["1", "2", "3", "4"].map(layer)
      const manifests = layers.map((one) => manifest([one]))
      const all = imageIndex(manifests)
      const store = yield* openStore()
      yield* pushAll(store, [config, ...layers, ...manifests, all])
      const [last] = manifests.slice(-1)
      assert.isDefined(last)
      yield* store.tag(last.descriptor, "kept")
      yield* store.delete(all.descriptor)
      const contents = { config, ...Object.fromEntries([...layers, ...manifests].map((one, i) => [`${i}`, one])) }
      assert.sameMembers([...(yield* present(store, contents))], ["config", "3", "7"])

      const [tagged] = layers.slice(-1)
      assert.isDefined(tagged)
      yield* store.tag(tagged.descriptor, "layer")
      yield* store.delete(last.descriptor)
      assert.deepStrictEqual(yield* present(store, contents), ["3"])
    })
  )

  it.live("keeps a referrer that has a tag of its own (56)", () =>
    Effect.gen(function* () {
      const image = manifest([])
      const referrer = artifact(image, [])
      const store = yield* openStore()
      yield* pushAll(store, [config, image, referrer])
      yield* store.tag(referrer.descriptor, "signature")
      yield* store.delete(image.descriptor)
      assert.deepStrictEqual(yield* present(store, { image, referrer }), ["referrer"])
    })
  )

  it.live("deletes what has the digest, whatever media type it is called by, and its entry too", () =>
    Effect.gen(function* () {
      const image = manifest([])
      const store = yield* openStore()
      yield* pushAll(store, [config, image])
      yield* store.tag(image.descriptor, "v1")
      yield* store.delete({ ...image.descriptor, mediaType: "application/octet-stream" })
      assert.deepStrictEqual(yield* present(store, { image }), [])
      assert.deepStrictEqual(yield* store.tags, [])
    })
  )

  it.live("deletes an index that is a referrer and holds another, every time (57)", () =>
    Effect.gen(function* () {
      const A = manifest([])
      const R = manifest([layer("r")], A)
      const J = imageIndex([R], A)
      const store = yield* openStore()
      for (const order of [
        [A, R, J],
        [J, R, A]
      ]) {
        yield* pushAll(store, order)
        yield* store.delete(A.descriptor)
        assert.deepStrictEqual(yield* present(store, { A, R, J }), [])
        assert.deepStrictEqual(entriesOf(store), [])
      }
    })
  )

  it.live("leaves an index that can be read when the last entry goes (58)", () =>
    Effect.gen(function* () {
      const store = yield* openStore()
      yield* pushAll(store, [config, manifest([])])
      yield* store.delete(manifest([]).descriptor)
      assert.deepStrictEqual(JSON.parse(readFileSync(index(store), "utf8")).manifests, [])
      writeFileSync(index(store), '{"schemaVersion":2,"manifests":null}')
      assert.deepStrictEqual(yield* (yield* ContentStoreLayout.open({ root: store.location })).tags, [])
    })
  )

  it.live("takes nothing along where a manifest cannot be read: nobody knows what it needs", () =>
    Effect.gen(function* () {
      const foreign = { mediaType: "application/x", digest: `sha512:${"0".repeat(128)}`, size: 1 }
      const shared = layer("shared")
      const stranger = content(
        manifest([]).descriptor.mediaType,
        json({ schemaVersion: 2, config: config.descriptor, layers: [foreign] })
      )
      const image = manifest([shared])
      const store = yield* openStore()
      yield* pushAll(store, [config, shared, image, stranger])
      yield* store.delete(image.descriptor)
      assert.deepStrictEqual(yield* present(store, { image, shared, stranger }), ["shared", "stranger"])
      const error = yield* Effect.flip(store.collectGarbage)
      assert.include(error.message, "unable to reload index")
      assert.isTrue(yield* store.exists(shared.descriptor.digest))
    })
  )
})

describe("collecting the garbage of a layout (oci-layout-store, 13: 59 to 65)", () => {
  it.live("keeps what tags lead to and what refers to it, and nothing else, whatever lies there (59, 60)", () =>
    Effect.gen(function* () {
      const [L1, L2, L8] = [layer("1"), layer("2"), layer("8")]
      const M3 = manifest([L1], undefined, "tagged")
      const M4 = manifest([L1], M3, "referrer")
      const M5 = manifest([L1], undefined, "5")
      const M6 = artifact(M4, [layer("6")])
      const M7 = manifest([L1], M5, "7")
      const I10 = imageIndex([M5, M7])
      const M17 = manifest([layer("18")], undefined, "17")
      const contents = { C0: config, L1, L2, M3, M4, M5, M6, M7, L8, I10, M17, L18: layer("18") }
      const store = yield* openStore()
      yield* pushAll(store, Object.values(contents))
      yield* store.tag(M3.descriptor, "v1")
      // As if the references of these had been lost.
      const lost = new Set<string>([M5, M6, M7, I10].map(({ descriptor }) => descriptor.digest))
      const manifests = entriesOf(store).filter(({ digest }) => !lost.has(digest))
      writeFileSync(index(store), json({ schemaVersion: 2, manifests }))
      for (const name of ["11", "12"]) writeFileSync(path.join(store.location, "blobs/sha256", digestName(name)), name)
      writeFileSync(path.join(store.location, "blobs/other"), "x")
      writeFileSync(path.join(store.location, "blobs/sha256/other2"), "x")
      mkdirSync(path.join(store.location, "blobs/sha666"))
      for (let round = 0; round < 2; round++) {
        yield* store.collectGarbage
        assert.deepStrictEqual(yield* present(store, contents), ["C0", "L1", "M3", "M4"])
        assert.isFalse(existsSync(path.join(store.location, "blobs/sha256", digestName("11"))))
        assert.isTrue(existsSync(path.join(store.location, "blobs/other")))
        assert.isTrue(existsSync(path.join(store.location, "blobs/sha256/other2")))
      }
      assert.lengthOf(entriesOf(store), 2)
      yield* ContentStoreLayout.open({ root: store.location })
    })
  )

  it.live("fails where a directory has the name of a blob (61)", () =>
    Effect.gen(function* () {
      const store = yield* openStore()
      mkdirSync(path.join(store.location, "blobs/sha256", digestName("1"), "in"), { recursive: true })
      const error = yield* Effect.flip(store.collectGarbage)
      assert.strictEqual(error.operation, "collect")
    })
  )

  it.live("ends when it is interrupted, and gives the store free (62)", () =>
    Effect.gen(function* () {
      const store = yield* openStore()
      yield* pushAll(store, ["1", "2", "3"].map(layer))
      const collecting = yield* Effect.forkChild(store.collectGarbage, { startImmediately: true })
      yield* Fiber.interrupt(collecting)
      yield* push(store, manifest([]))
      yield* store.collectGarbage
    })
  )

  it.live("ends on referrers of what is not kept, and takes both (63)", () =>
    Effect.gen(function* () {
      const subject = manifest([], undefined, "subject")
      const referrer = manifest([], subject, "referrer")
      const store = yield* openStore()
      yield* pushAll(store, [config, subject, referrer])
      yield* store.collectGarbage
      assert.deepStrictEqual(yield* present(store, { config, subject, referrer }), [])
      assert.deepStrictEqual(entriesOf(store), [])
    })
  )

  it.live("keeps a chain of referrers whose root has a tag, whatever their order (64)", () =>
    Effect.gen(function* () {
      const A = manifest([], undefined, "A")
      const chain = [A]
      for (let i = 0; i < 12; i++) {
        const [last] = chain.slice(-1)
        assert.isDefined(last)
        chain.push(manifest([layer(`${i}`)], last, `${i}`))
      }
      const contents = { config, ...Object.fromEntries(chain.map((one, i) => [`M${i}`, one])) }
      const store = yield* openStore()
      yield* pushAll(store, [config, ...chain, ...Array.from({ length: 12 }, (_, i) => layer(`${i}`))])
      yield* store.tag(A.descriptor, "v1")
      yield* store.collectGarbage
      assert.deepStrictEqual(yield* present(store, contents), Object.keys(contents))
      assert.isTrue(yield* store.exists(layer("11").descriptor.digest))
    })
  )

  it.live("changes the file of an index that is saved by hand only when it is saved (65)", () =>
    Effect.gen(function* () {
      const store = yield* openStore({ autoSaveIndex: false })
      const [kept, gone] = [manifest([], undefined, "kept"), manifest([], undefined, "gone")]
      yield* pushAll(store, [config, kept, gone])
      yield* store.tag(kept.descriptor, "v1")
      yield* store.saveIndex
      const before = readFileSync(index(store), "utf8")
      yield* store.collectGarbage
      assert.isFalse(yield* store.exists(gone.descriptor.digest))
      assert.strictEqual(readFileSync(index(store), "utf8"), before)
      yield* store.saveIndex
      assert.deepStrictEqual(entriesOf(store), [{ ...kept.descriptor, annotations: { [refName]: "v1" } }])
      yield* ContentStoreLayout.open({ root: store.location })
    })
  )

  it.live("takes a blob that nothing lists, so that a failed deletion leaves no garbage for ever", () =>
    Effect.gen(function* () {
      const store = yield* openStore()
      const stray = content("application/x", utf8("stray"))
      yield* push(store, stray)
      yield* store.collectGarbage
      assert.isFalse(existsSync(blobFile(store, stray.descriptor.digest)))
    })
  )
})

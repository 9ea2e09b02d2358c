import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import * as path from "node:path"
import * as ContentStoreLayout from "../../../src/layers/ContentStoreLayout.ts"
import { withoutRefName } from "../../../src/layers/layout/layoutIndex.ts"
import { MediaType } from "../../../src/services/MediaType.ts"
import { json } from "../../support/content.ts"
import { content, entriesOf, layer, manifest, push, refName, type Store } from "../../support/layoutStore.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const openStore = (options: Partial<ContentStoreLayout.LayoutOptions> = {}) =>
  Effect.flatMap(temporaryDirectory, (root) => ContentStoreLayout.open({ root, ...options }))

const named = (name: string) => manifest([], undefined, name)

/** Tags, and entries of the file. */
const counts = (store: Store) => Effect.map(store.tags, (tags) => [tags.length, entriesOf(store).length] as const)

describe("the index of a layout (oci-layout-store, 13: 24 to 37)", () => {
  it.live("stays in memory until it is saved, where it is not saved by itself (24)", () =>
    Effect.gen(function* () {
      const store = yield* openStore({ autoSaveIndex: false })
      const other = yield* ContentStoreLayout.open({ root: store.location })
      const image = yield* push(store, named("1"))
      yield* store.tag(image, "a")
      yield* store.tag(image, "b")
      assert.deepStrictEqual(yield* counts(store), [2, 0])
      assert.deepStrictEqual(yield* store.resolve("a"), image)
      assert.deepStrictEqual(yield* other.tags, [])
      yield* store.saveIndex
      assert.deepStrictEqual(yield* counts(other), [2, 2])
      yield* store.untag("a")
      assert.deepStrictEqual(yield* counts(store), [1, 2])
      yield* store.saveIndex
      assert.deepStrictEqual(yield* counts(other), [1, 1])
    })
  )

  it.live("keeps what others changed meanwhile when it is saved late", () =>
    Effect.gen(function* () {
      const late = yield* openStore({ autoSaveIndex: false })
      const other = yield* ContentStoreLayout.open({ root: late.location })
      const [one, two] = [yield* push(late, named("1")), yield* push(other, named("2"))]
      yield* late.tag(one, "mine")
      yield* late.tag(one, "moved")
      yield* other.tag(two, "yours")
      yield* other.tag(two, "moved")
      yield* late.saveIndex
      const tags = yield* other.tags
      assert.deepStrictEqual(
        tags.map(({ tag, descriptor }) => [tag, descriptor.digest]),
        [
          ["mine", one.digest],
          ["moved", one.digest],
          ["yours", two.digest]
        ]
      )
    })
  )

  it.live("has an entry for each tag, and one for each manifest without (25 to 31)", () =>
    Effect.gen(function* () {
      const store = yield* openStore()
      const one = yield* push(store, named("1"))
      assert.deepStrictEqual(yield* counts(store), [0, 1])
      yield* store.tag(one, "r")
      assert.deepStrictEqual(yield* counts(store), [1, 1])
      const two = yield* push(store, named("2"))
      assert.deepStrictEqual(yield* counts(store), [1, 2])
      yield* store.tag(two, "r")
      assert.deepStrictEqual(yield* counts(store), [1, 2])
      assert.deepStrictEqual(yield* store.resolve("r"), two)
      assert.deepStrictEqual(yield* store.resolve(one.digest), one)
      const blob = yield* push(store, layer("1"))
      assert.deepStrictEqual(yield* counts(store), [1, 2])
      yield* store.tag(blob, "r")
      assert.deepStrictEqual(yield* counts(store), [1, 3])
      yield* store.tag(yield* push(store, layer("2")), "r")
      assert.deepStrictEqual(yield* counts(store), [1, 4])
    })
  )

  it.live("takes a tag that is the content's own digest for no more than its media type (32, 33)", () =>
    Effect.gen(function* () {
      const store = yield* openStore()
      const image = yield* push(store, named("1"))
      yield* store.tag(image, image.digest)
      assert.deepStrictEqual(yield* counts(store), [0, 1])
      const blob = yield* push(store, layer("1"))
      assert.strictEqual((yield* store.resolve(blob.digest)).mediaType, "application/octet-stream")
      yield* store.tag(blob, blob.digest)
      assert.deepStrictEqual(yield* counts(store), [0, 2])
      assert.deepStrictEqual(yield* store.resolve(blob.digest), blob)
    })
  )

  it.live("keeps annotations beside the tag, also when it is opened again (34, 35)", () =>
    Effect.gen(function* () {
      const store = yield* openStore()
      const one = { ...(yield* push(store, named("1"))), annotations: { key1: "1" } }
      yield* store.tag(one, one.digest)
      yield* store.tag(one, "r")
      assert.deepStrictEqual(entriesOf(store), [{ ...one, annotations: { key1: "1", [refName]: "r" } }])

      const again = yield* ContentStoreLayout.open({ root: store.location })
      const two = { ...(yield* push(again, named("2"))), annotations: { key2: "2" } }
      yield* again.tag(two, "r")
      assert.sameDeepMembers([...entriesOf(store)], [one, { ...two, annotations: { key2: "2", [refName]: "r" } }])
    })
  )

  it("loses nothing but the tag of an entry's annotations (37)", () => {
    const { descriptor } = named("1")
    const without = (annotations: Record<string, string>) => withoutRefName({ ...descriptor, annotations })
    assert.deepStrictEqual(withoutRefName(descriptor), descriptor)
    assert.deepStrictEqual(without({ [refName]: "v1" }), descriptor)
    assert.deepStrictEqual(without({ [refName]: "" }), descriptor)
    assert.deepStrictEqual(without({ a: "1", [refName]: "v1" }), { ...descriptor, annotations: { a: "1" } })
  })

  it.live("keeps what else the file says: annotations, subject, artifact type", () =>
    Effect.gen(function* () {
      const store = yield* openStore()
      const subject = named("subject").descriptor
      const envelope = { artifactType: "application/x", subject, annotations: { b: "1", a: "<2>" } }
      writeFileSync(path.join(store.location, "index.json"), json({ schemaVersion: 2, manifests: [], ...envelope }))
      yield* push(store, content(MediaType.ociIndex, json({ schemaVersion: 2, manifests: [] })))
      const text = readFileSync(path.join(store.location, "index.json"), "utf8")
      assert.deepInclude(JSON.parse(text), envelope)
      assert.isTrue(text.startsWith('{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",'))
      assert.include(text, "\\u003c2\\u003e")
    })
  )
})

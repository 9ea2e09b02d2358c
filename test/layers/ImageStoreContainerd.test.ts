import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as ContentStoreContainerd from "../../src/layers/ContentStoreContainerd.ts"
import * as ContainerdConnection from "../../src/layers/containerd/ContainerdConnection.ts"
import * as ImageStoreContainerd from "../../src/layers/ImageStoreContainerd.ts"
import { ContentStore } from "../../src/services/ContentStore.ts"
import { ImageStore } from "../../src/services/ImageStore.ts"
import { MediaType } from "../../src/services/MediaType.ts"
import { containerd, missingForContainerd } from "../support/containerd.ts"
import { json } from "../support/content.ts"
import { put } from "../support/contentStoreSuite.ts"

const missing = missingForContainerd === "" ? "" : ` (skipped: needs ${missingForContainerd})`

/** A containerd with two manifests, held by a label, and its stores. */
const stores = Effect.fnUntraced(function* (namespace = "default") {
  const running = yield* containerd()
  const connection = ContainerdConnection.layer({ address: running.address, namespace })
  const both = Layer.mergeAll(ImageStoreContainerd.layerConnected, ContentStoreContainerd.layerConnected)
  const built = yield* Layer.build(Layer.provide(both, connection))
  const content = Context.get(built, ContentStore)
  const manifest = (name: string) =>
    put(content, json({ schemaVersion: 2, layers: [], annotations: { name } }), MediaType.ociManifest)
  return { running, images: Context.get(built, ImageStore), content, manifest }
})

describe.skipIf(missing !== "")(`ImageStoreContainerd${missing}`, () => {
  it.live("gives back an image as it was put, and containerd's own client sees it", () =>
    Effect.gen(function* () {
      const { running, images, content, manifest } = yield* stores()
      yield* content.withLease(
        Effect.gen(function* () {
          const target = yield* manifest("one")
          const image = { name: "registry.example.com/app:v1", target, labels: { "a.b/c": "1" } }
          yield* images.put(image)
          assert.deepStrictEqual(yield* images.get(image.name), image)
          const listed = yield* running.ctr("images", "ls")
          for (const text of [image.name, target.digest, "a.b/c=1"]) assert.include(listed, text)
        })
      )
    })
  )

  it.live("points a name to another target and keeps the labels that are not given", () =>
    Effect.gen(function* () {
      const { images, manifest } = yield* stores()
      const [one, two] = [yield* manifest("one"), yield* manifest("two")]
      yield* images.put({ name: "app", target: one, labels: { kept: "1", changed: "1" } })
      const annotated = { ...two, annotations: { key: "value" } }
      yield* images.put({ name: "app", target: annotated, labels: { changed: "2" } })
      const expected = { name: "app", target: annotated, labels: { kept: "1", changed: "2" } }
      assert.deepStrictEqual(yield* images.get("app"), expected)
    })
  )

  it.live("sets and takes away single labels", () =>
    Effect.gen(function* () {
      const { images, manifest } = yield* stores()
      const target = yield* manifest("one")
      yield* images.put({ name: "app", target, labels: { kept: "1", gone: "1" } })
      yield* images.label("app", { "containerd.io/gc.ref.content.soci-index": target.digest, gone: "" })
      yield* images.label("app", {})
      const { labels } = yield* images.get("app")
      assert.deepStrictEqual(labels, { kept: "1", "containerd.io/gc.ref.content.soci-index": target.digest })
    })
  )

  it.live("lists the images of its namespace in byte order", () =>
    Effect.gen(function* () {
      const { running, images, manifest } = yield* stores("here")
      const target = yield* manifest("one")
      for (const name of ["b", "a", "é", "a/z", "B"]) yield* images.put({ name, target, labels: {} })
      const connection = ContainerdConnection.layer({ address: running.address, namespace: "elsewhere" })
      const elsewhere = yield* Layer.build(Layer.provide(ImageStoreContainerd.layerConnected, connection))
      assert.deepStrictEqual(
        (yield* images.images).map(({ name }) => name),
        ["B", "a", "a/z", "b", "é"]
      )
      assert.deepStrictEqual(yield* Context.get(elsewhere, ImageStore).images, [])
    })
  )

  it.live("collects what an image alone kept, when it is deleted synchronously", () =>
    Effect.gen(function* () {
      const { images, content, manifest } = yield* stores()
      const target = yield* content.withLease(
        Effect.tap(manifest("one"), (stored) => images.put({ name: "app", target: stored, labels: {} }))
      )
      yield* content.collectGarbage
      assert.isTrue(yield* content.exists(target.digest))
      yield* images.delete("app", { synchronous: true })
      assert.isFalse(yield* content.exists(target.digest))
    })
  )

  it.live("says which image is not there, and what containerd refuses", () =>
    Effect.gen(function* () {
      const { images, manifest } = yield* stores()
      const target = yield* manifest("one")
      const absent = yield* Effect.all([
        Effect.flip(images.get("nope")),
        Effect.flip(images.label("nope", { key: "1" })),
        Effect.flip(images.delete("nope"))
      ])
      for (const error of absent) assert.strictEqual(error.message, 'image "nope": not found')
      const refused = yield* Effect.flip(images.put({ name: "", target, labels: {} }))
      assert.strictEqual(refused._tag, "ImageStoreFailed")
      assert.include(refused.message, "INVALID_ARGUMENT")
    })
  )
})

import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Result, Stream } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as ContentStoreLayout from "../../src/layers/ContentStoreLayout.ts"
import * as ImageSourceLive from "../../src/layers/ImageSourceLive.ts"
import * as RegistryFetcherHttp from "../../src/layers/RegistryFetcherHttp.ts"
import { ContentStore } from "../../src/services/ContentStore.ts"
import { parseImageName } from "../../src/services/ImageName.ts"
import { ImageSource } from "../../src/services/ImageSource.ts"
import { MediaType } from "../../src/services/MediaType.ts"
import { descriptorOf, json } from "../support/content.ts"
import { embeddedRegistry } from "../support/embeddedRegistry.ts"
import { sampleImage, storeImage } from "../support/sampleImage.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const sources = ImageSourceLive.layer.pipe(
  Layer.provide(RegistryFetcherHttp.layer({ dockerConfigDirectory: "/nonexistent", retries: 0 }))
)

const find = Effect.fnUntraced(function* (name: string) {
  const source = Context.get(yield* Layer.build(sources), ImageSource)
  return yield* source.find(Result.getOrThrow(parseImageName(name)))
})

const openStore = (root: string) =>
  Effect.map(Layer.build(ContentStoreLayout.layer({ root })), (built) => Context.get(built, ContentStore))

const bytesOf = <E, R>(stream: Stream.Stream<Uint8Array, E, R>) =>
  Effect.map(Stream.runCollect(stream), (chunks) => Buffer.concat(chunks))

const inRegistry = Effect.gen(function* () {
  const { host, store } = yield* embeddedRegistry()
  return { store, tag: "team/app:v1", byTag: `${host}/team/app:v1`, byDigest: `${host}/team/app@` }
})

const inLayout = Effect.gen(function* () {
  const root = yield* temporaryDirectory
  return { store: yield* openStore(root), tag: "v1", byTag: `oci-layout:${root}:v1`, byDigest: `oci-layout:${root}@` }
})

describe("ImageSourceLive", () => {
  for (const [medium, place] of [
    ["a registry", inRegistry],
    ["an OCI layout", inLayout]
  ] as const) {
    it.live(`finds an image in ${medium} by tag and by digest, and reads it`, () =>
      Effect.gen(function* () {
        const { store, tag, byTag, byDigest } = yield* place
        const image = yield* sampleImage
        yield* storeImage(store, image, tag)
        const [layer, bytes] = image.blobs[1] ?? assert.fail("the image has a layer")
        for (const name of [byTag, byDigest + image.manifest.digest]) {
          const found = yield* find(name)
          assert.deepStrictEqual(found.target, image.manifest)
          assert.deepStrictEqual(yield* found.readDocument(found.target), Buffer.from(image.manifestBytes))
          assert.deepStrictEqual(yield* bytesOf(found.readBlob(layer)), Buffer.from(bytes))
          const opened = yield* found.openBlob(layer)
          assert.deepStrictEqual(yield* bytesOf(opened.read(10, 20)), Buffer.from(bytes.subarray(10, 30)))
          assert.deepStrictEqual(yield* found.referrers(image.manifest.digest, MediaType.sociIndexV1), [])
        }
      })
    )

    it.live(`knows in ${medium} what a manifest is of which only the digest is known`, () =>
      Effect.gen(function* () {
        const { store, tag, byTag } = yield* place
        const image = yield* sampleImage
        yield* storeImage(store, image, tag)
        const index = json({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [image.manifest] })
        // As a blob that no index lists: the children of an index are stored like this by others.
        yield* store.ingest(descriptorOf(index), Stream.make(index))
        const found = yield* find(byTag)
        assert.deepStrictEqual(
          yield* found.resolveDigest(descriptorOf(index).digest),
          descriptorOf(index, MediaType.ociIndex)
        )
      })
    )
  }

  it.live("needs no tag where a layout holds one image, and names the tags where it holds several", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const store = yield* openStore(root)
      assert.include((yield* Effect.flip(find(`oci:${root}`))).message, "it holds no image")
      const image = yield* sampleImage
      yield* storeImage(store, image, "v1")
      assert.deepStrictEqual((yield* find(`oci:${root}`)).target, image.manifest)

      const other = json({ ...JSON.parse(Buffer.from(image.manifestBytes).toString()), annotations: { other: "1" } })
      const descriptor = descriptorOf(other, MediaType.ociManifest)
      yield* store.ingest(descriptor, Stream.make(other))
      yield* store.tag(descriptor, "v2")
      assert.include((yield* Effect.flip(find(`oci:${root}`))).message, "add one of its tags to the path: v1, v2")
      assert.strictEqual((yield* Effect.flip(find(`oci:${root}:v3`)))._tag, "ContentNotFound")
    })
  )

  it.live("refuses a directory that is no layout, and leaves it as it is", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const error = yield* Effect.flip(find(`oci-layout:${root}:v1`))
      assert.include(error.message, "it is no OCI image layout")
      assert.deepStrictEqual(yield* Effect.promise(() => fs.readdir(root)), [])
      assert.include((yield* Effect.flip(find(`oci-layout:${path.join(root, "x")}`))).message, "no OCI image layout")
    })
  )
})

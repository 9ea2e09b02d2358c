import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as path from "node:path"
import * as ContainerdConnection from "../../../src/layers/containerd/ContainerdConnection.ts"
import { storedImage } from "../../../src/layers/containerd/storedImage.ts"
import * as ContentStoreContainerd from "../../../src/layers/ContentStoreContainerd.ts"
import * as ContentStoreLayout from "../../../src/layers/ContentStoreLayout.ts"
import * as ImageStoreContainerd from "../../../src/layers/ImageStoreContainerd.ts"
import { ContentStore } from "../../../src/services/ContentStore.ts"
import { formatImageName } from "../../../src/services/ImageName.ts"
import { MediaType } from "../../../src/services/MediaType.ts"
import { containerd, missingForContainerd } from "../../support/containerd.ts"
import { json } from "../../support/content.ts"
import { bytesOf, openClient, put } from "../../support/contentStoreSuite.ts"
import { runProgram } from "../../support/programs.ts"
import { sampleImage, storeImage } from "../../support/sampleImage.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const missing = missingForContainerd === "" ? "" : ` (skipped: needs ${missingForContainerd})`

/** A containerd into which its own client imported the image as example.com/app:v1. */
const imported = Effect.gen(function* () {
  const image = yield* sampleImage
  const directory = yield* temporaryDirectory
  const [layout, archive] = [path.join(directory, "layout"), path.join(directory, "image.tar")]
  yield* storeImage(yield* openClient(ContentStoreLayout.layer({ root: layout })), image, "v1")
  yield* runProgram("tar", "-C", layout, "-cf", archive, ".")
  const running = yield* containerd()
  yield* running.importImage(archive, { baseName: "example.com/app" })
  const connection = ContainerdConnection.layer({ address: running.address, namespace: "default" })
  const stores = Layer.mergeAll(ImageStoreContainerd.layerConnected, ContentStoreContainerd.layerConnected)
  return { image, services: yield* Layer.build(Layer.provide(stores, connection)) }
})

describe.skipIf(missing !== "")(`an image of containerd${missing}`, () => {
  it.live("is read whole, by ranges and as documents", () =>
    Effect.gen(function* () {
      const { image, services } = yield* imported
      const stored = yield* Effect.provide(storedImage("example.com/app:v1"), services)
      assert.strictEqual(formatImageName(stored.name), "example.com/app:v1")
      assert.deepInclude(stored.target, image.manifest)
      assert.deepStrictEqual(Buffer.from(yield* stored.readDocument(stored.target)), Buffer.from(image.manifestBytes))
      assert.deepStrictEqual(yield* stored.resolveDigest(image.manifest.digest), image.manifest)
      for (const [descriptor, bytes] of image.blobs) {
        assert.isTrue(Buffer.from(bytes).equals(yield* bytesOf(stored.readBlob(descriptor))))
        const blob = yield* stored.openBlob(descriptor)
        const middle = Math.floor(descriptor.size / 2)
        assert.isTrue(
          Buffer.from(bytes.subarray(middle)).equals(yield* bytesOf(blob.read(middle, descriptor.size - middle)))
        )
      }
    })
  )

  it.live("has the referrers that are in containerd", () =>
    Effect.gen(function* () {
      const { image, services } = yield* imported
      const store = Context.get(services, ContentStore)
      const [config] = image.blobs.map(([descriptor]) => descriptor)
      const subject = image.manifest
      const index = json({ schemaVersion: 2, artifactType: "application/x", config, layers: [], subject })
      const stored = yield* Effect.provide(storedImage("example.com/app:v1"), services)
      assert.deepStrictEqual(yield* stored.referrers(image.manifest.digest, "application/x"), [])
      yield* store.withLease(
        Effect.gen(function* () {
          const referrer = yield* put(store, index, MediaType.ociManifest)
          const expected = [{ ...referrer, artifactType: "application/x" }]
          assert.deepStrictEqual(yield* stored.referrers(image.manifest.digest, "application/x"), expected)
        })
      )
    })
  )

  it.live("is told by its name when it is not there", () =>
    Effect.gen(function* () {
      const { services } = yield* imported
      const error = yield* Effect.flip(Effect.provide(storedImage("example.com/app:v2"), services))
      assert.strictEqual(error.message, 'image "example.com/app:v2": not found')
    })
  )
})

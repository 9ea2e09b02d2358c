import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import * as fs from "node:fs/promises"
import { existsSync, readdirSync, statSync } from "node:fs"
import * as path from "node:path"
import * as ContentStoreLayout from "../../../src/layers/ContentStoreLayout.ts"
import { Digest } from "../../../src/services/Descriptor.ts"
import { MediaType } from "../../../src/services/MediaType.ts"
import { chunked, descriptorOf, json, noise, utf8 } from "../../support/content.ts"
import { blobFile, content, entriesOf, layer, manifest, push, refName } from "../../support/layoutStore.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const openStore = Effect.flatMap(temporaryDirectory, (root) => ContentStoreLayout.open({ root }))

const tagNames = (store: { readonly tags: ContentStoreLayout.LayoutStore["tags"] }) =>
  Effect.map(store.tags, (tags) => tags.map(({ tag }) => tag))

const plain = content("application/x", utf8("test"))

describe("content and tags of a layout (oci-layout-store, 13: 10 to 23 and 41 to 44)", () => {
  it.live("lists no plain blob, and knows it by its digest as bytes (10)", () =>
    Effect.gen(function* () {
      const store = yield* openStore
      const { digest, size } = yield* push(store, plain)
      assert.deepStrictEqual(entriesOf(store), [])
      assert.deepStrictEqual(yield* store.resolve(digest), { mediaType: "application/octet-stream", digest, size })
    })
  )

  it.live("lists a manifest, tags it and gives its bytes back (11, 12, 13)", () =>
    Effect.gen(function* () {
      const store = yield* openStore
      const image = content(MediaType.ociManifest, json({ layers: [] }))
      const descriptor = yield* push(store, image)
      assert.deepStrictEqual(yield* store.resolve(descriptor.digest), descriptor)
      yield* store.tag(descriptor, "foobar")
      assert.deepStrictEqual(yield* store.resolve("foobar"), descriptor)
      assert.deepStrictEqual(yield* store.readDocument(descriptor), Buffer.from(image.bytes))
    })
  )

  it.live("says what it does not have (14, 21, 22, 44)", () =>
    Effect.gen(function* () {
      const store = yield* openStore
      const { descriptor } = plain
      assert.isFalse(yield* store.exists(descriptor.digest))
      const missing = [
        yield* Effect.flip(Stream.runDrain(store.read(descriptor))),
        yield* Effect.flip(store.resolve("unknown")),
        yield* Effect.flip(store.resolve("invalid-digest")),
        yield* Effect.flip(store.tag(descriptor, "v1")),
        yield* Effect.flip(store.untag("unknown")),
        yield* Effect.flip(store.delete(descriptor))
      ]
      assert.deepStrictEqual(
        missing.map(({ _tag }) => _tag),
        missing.map(() => "ContentNotFound")
      )
      yield* push(store, plain)
      const empty = [
        yield* Effect.flip(store.resolve("")),
        yield* Effect.flip(store.tag(descriptor, "")),
        yield* Effect.flip(store.untag(""))
      ]
      for (const error of empty) assert.include(error.message, "missing reference")
    })
  )

  it.live("takes nothing of what is there already (15)", () =>
    Effect.gen(function* () {
      const store = yield* openStore
      yield* push(store, plain)
      yield* store.ingest(plain.descriptor, Stream.die("must not be read"))
    })
  )

  for (const [what, wrong] of [
    ["other bytes (16)", noise(1000, 2)],
    ["too few (17)", noise(999)],
    ["too many (17)", noise(1001)],
    ["some where none were promised", noise(1)]
  ] as const) {
    it.live(`refuses ${what}, and leaves nothing of them`, () =>
      Effect.gen(function* () {
        const store = yield* openStore
        const promised = descriptorOf(wrong.length === 1 ? new Uint8Array(0) : noise(1000))
        const error = yield* Effect.flip(store.ingest(promised, chunked(wrong, 300)))
        assert.strictEqual(error._tag, "ContentMismatch")
        assert.isFalse(yield* store.exists(promised.digest))
        assert.deepStrictEqual(readdirSync(path.join(store.location, "ingest")), [])
      })
    )
  }

  it("has no name for what is no SHA-256 digest: it cannot even be asked for (18, 19)", () => {
    const isDigest = Schema.is(Digest)
    for (const text of ["invalid-digest", "sha1:0", `md5:${"0".repeat(32)}`, `sha256:${"G".repeat(64)}`, "sha256:00"]) {
      assert.isFalse(isDigest(text), text)
    }
  })

  it.live("gives annotations by the tag, and the plain descriptor by the digest (20)", () =>
    Effect.gen(function* () {
      const store = yield* openStore
      const descriptor = yield* push(store, manifest([]))
      yield* store.tag({ ...descriptor, annotations: { key1: "1" } }, "v1")
      assert.deepStrictEqual(yield* store.resolve("v1"), { ...descriptor, annotations: { key1: "1" } })
      assert.deepStrictEqual(yield* store.resolve(descriptor.digest), descriptor)
    })
  )

  it.live("gives the same descriptor by a tag before and after it is opened again, without the tag in it (36)", () =>
    Effect.gen(function* () {
      const store = yield* openStore
      const descriptor = yield* push(store, manifest([]))
      yield* store.tag({ ...descriptor, annotations: { [refName]: "zzz" } }, "latest")
      const again = yield* ContentStoreLayout.open({ root: store.location })
      assert.deepStrictEqual(yield* store.resolve("latest"), descriptor)
      assert.deepStrictEqual(yield* again.resolve("latest"), descriptor)
      assert.deepStrictEqual(entriesOf(store), [{ ...descriptor, annotations: { [refName]: "latest" } }])
    })
  )

  it.live("shows a blob only once it is on disk, and its name too", () =>
    Effect.gen(function* () {
      const store = yield* openStore
      const file = blobFile(store, plain.descriptor.digest)
      const shown: Array<boolean> = []
      const handle = yield* Effect.promise(() => fs.open(store.location, "r"))
      const handles: { sync: () => Promise<void> } = Object.getPrototypeOf(handle)
      const { sync } = handles
      yield* Effect.acquireUseRelease(
        Effect.sync(() => {
          handles.sync = function (this: unknown) {
            shown.push(existsSync(file))
            return sync.call(this)
          }
        }),
        () => push(store, plain),
        () =>
          Effect.promise(() => {
            handles.sync = sync
            return handle.close()
          })
      )
      assert.deepStrictEqual(shown, [false, true])
    })
  )

  it.live("writes blobs that nobody can change (23)", () =>
    Effect.gen(function* () {
      const store = yield* openStore
      const { digest } = yield* push(store, plain)
      assert.strictEqual(statSync(blobFile(store, digest)).mode & 0o777, 0o444)
    })
  )

  it.live("lists tags in byte order (41)", () =>
    Effect.gen(function* () {
      const store = yield* openStore
      for (const tag of ["v2", "v3", "v1", "v4"]) {
        yield* store.tag(yield* push(store, manifest([layer(tag)])), tag)
      }
      yield* push(store, manifest([layer("untagged")]))
      assert.deepStrictEqual(yield* tagNames(store), ["v1", "v2", "v3", "v4"])
    })
  )

  it.live("takes a tag away and keeps the content; a digest is no tag (43, 44)", () =>
    Effect.gen(function* () {
      const store = yield* openStore
      const descriptor = yield* push(store, manifest([]))
      yield* store.tag(descriptor, "v1")
      yield* store.untag("v1")
      assert.strictEqual((yield* Effect.flip(store.resolve("v1")))._tag, "ContentNotFound")
      assert.isTrue(yield* store.exists(descriptor.digest))
      const error = yield* Effect.flip(store.untag(descriptor.digest))
      assert.include(error.message, `reference "${descriptor.digest}" is a digest and not a tag: invalid reference`)
    })
  )

  it.live("knows by existence alone a blob of the right name, whatever is in it (71, 74)", () =>
    Effect.gen(function* () {
      const store = yield* openStore
      const { digest } = plain.descriptor
      yield* Effect.promise(() => fs.writeFile(blobFile(store, digest), ""))
      assert.isTrue(yield* store.exists(digest))
      yield* Effect.promise(() => fs.writeFile(blobFile(store, digest), plain.bytes))
      assert.deepStrictEqual(yield* store.readDocument(plain.descriptor), Buffer.from(plain.bytes))
      assert.isFalse(yield* store.exists(layer("unknown").descriptor.digest))
    })
  )

  it.live("keeps no manifest that is no JSON (76)", () =>
    Effect.gen(function* () {
      const store = yield* openStore
      const bad = content(MediaType.ociManifest, utf8("no JSON"))
      assert.strictEqual((yield* Effect.flip(push(store, bad)))._tag, "ContentStoreFailed")
      assert.isFalse(yield* store.exists(bad.descriptor.digest))
      assert.deepStrictEqual(entriesOf(store), [])
    })
  )
})

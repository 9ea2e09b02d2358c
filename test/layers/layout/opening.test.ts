import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as ContentStoreLayout from "../../../src/layers/ContentStoreLayout.ts"
import { openStandaloneInput } from "../../../src/layers/standalone/openStandaloneInput.ts"
import { MediaType } from "../../../src/services/MediaType.ts"
import { descriptorOf, json, utf8 } from "../../support/content.ts"
import { blobFile, layer, manifest, push, refName } from "../../support/layoutStore.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const emptyIndexText = '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'

const read = (root: string, file: string) => readFileSync(path.join(root, file), "utf8")

const write = (file: string, bytes: string | Uint8Array) =>
  Effect.promise(async () => {
    await fs.rm(file, { force: true })
    await fs.writeFile(file, bytes)
  })

const openingFails = (root: string, readOnly = false) =>
  Effect.map(Effect.flip(ContentStoreLayout.open({ root, readOnly })), ({ message }) => message)

describe("opening a layout (oci-layout-store, 13: 1 to 9 and 69)", () => {
  it.live("makes an empty or missing directory a layout (1, 2)", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      for (const root of [directory, path.join(directory, "a/b/c")]) {
        const store = yield* ContentStoreLayout.open({ root })
        assert.strictEqual(store.location, root)
        assert.strictEqual(read(root, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}')
        assert.strictEqual(read(root, "index.json"), emptyIndexText)
      }
    })
  )

  it.live("keeps to the directory it was opened in (3)", () =>
    Effect.gen(function* () {
      // Threads have no working directory of their own: what counts is that the path is made absolute once.
      const root = path.relative(process.cwd(), yield* temporaryDirectory)
      const store = yield* ContentStoreLayout.open({ root })
      assert.isTrue(path.isAbsolute(store.location))
      yield* push(store, layer("foo"))
      assert.isTrue(existsSync(blobFile(store, layer("foo").descriptor.digest)))
    })
  )

  for (const [what, file, text, reason] of [
    ["a layout file that is no JSON (4)", "oci-layout", "whatever", "failed to decode OCI layout file: "],
    ["another version (5)", "oci-layout", '{"imageLayoutVersion":"1.0.1"}', "unsupported version"],
    ["no version (5)", "oci-layout", "{}", "unsupported version"],
    ["an index that is no JSON (6)", "index.json", "whatever", "failed to decode index file: "]
  ] as const) {
    it.live(`refuses ${what}`, () =>
      Effect.gen(function* () {
        const root = yield* temporaryDirectory
        yield* write(path.join(root, file), text)
        assert.include(yield* openingFails(root), reason)
        if (file === "oci-layout") assert.isFalse(existsSync(path.join(root, "index.json")))
        yield* write(path.join(root, "oci-layout"), file === "oci-layout" ? text : '{"imageLayoutVersion":"1.0.0"}')
        assert.include(
          yield* openingFails(root, true),
          file === "oci-layout" ? reason : "failed to decode index file: "
        )
      })
    )
  }

  it.live("refuses to read what has no layout file or no index, and writes nothing (69)", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      assert.include(yield* openingFails(root, true), "failed to open OCI layout file")
      yield* write(path.join(root, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}')
      assert.include(yield* openingFails(root, true), "failed to open index file")
      assert.deepStrictEqual(yield* Effect.promise(() => fs.readdir(root)), ["oci-layout"])
    })
  )

  for (const text of [
    "{}",
    `${emptyIndexText} and more`,
    '{"manifests":null}',
    '{"manifests":[],"unknown":{"a":"]}"}}x'
  ]) {
    it.live(`takes an index that is ${text} (7)`, () =>
      Effect.gen(function* () {
        const root = yield* temporaryDirectory
        yield* write(path.join(root, "index.json"), text)
        yield* write(path.join(root, "oci-layout"), '{"imageLayoutVersion":"1.0.0"} \n{')
        const store = yield* ContentStoreLayout.open({ root })
        assert.deepStrictEqual(yield* store.tags, [])
      })
    )
  }

  it.live("takes an index that lists an absent manifest, and resolves it (8)", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const { descriptor } = manifest([])
      const listed = { ...descriptor, annotations: { [refName]: "v1", key: "1" } }
      yield* write(path.join(root, "index.json"), json({ schemaVersion: 2, manifests: [listed] }))
      const store = yield* ContentStoreLayout.open({ root })
      assert.deepStrictEqual(yield* store.resolve(descriptor.digest), descriptor)
      assert.deepStrictEqual(yield* store.resolve("v1"), { ...descriptor, annotations: { key: "1" } })
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(store.read(descriptor))))._tag, "ContentNotFound")
    })
  )

  for (const [what, change, reason] of [
    ["shorter", (bytes: Uint8Array) => bytes.subarray(1), "unexpected EOF"],
    ["other", (bytes: Uint8Array) => bytes.map((byte) => byte ^ 1), "mismatched digest"],
    ["longer", (bytes: Uint8Array) => Buffer.concat([bytes, utf8(" ")]), "trailing data"]
  ] as const) {
    it.live(`refuses an index whose manifest has ${what} bytes (9)`, () =>
      Effect.gen(function* () {
        const root = yield* temporaryDirectory
        const store = yield* ContentStoreLayout.open({ root })
        const image = manifest([])
        yield* push(store, image)
        yield* write(blobFile(store, image.descriptor.digest), change(image.bytes))
        for (const readOnly of [false, true]) {
          const message = yield* openingFails(root, readOnly)
          assert.include(message, "invalid OCI Image Index: ")
          assert.include(message, reason)
        }
      })
    )
  }

  it.live("does not wait for a pipe in the place of the index", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      execFileSync("mkfifo", [path.join(root, "index.json")])
      assert.include(yield* openingFails(root), "failed to open index file: its index.json is not a regular file")
      const standalone = yield* Effect.flip(openStandaloneInput(root))
      assert.include(standalone.message, "it is not a regular file")
    })
  )

  it.live("refuses a listed manifest whose digest is none, and takes another entry with such a digest", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const other = { mediaType: "application/x", digest: "invalid-digest", size: 1 }
      yield* write(path.join(root, "index.json"), json({ schemaVersion: 2, manifests: [other] }))
      yield* ContentStoreLayout.open({ root })
      const bad = { ...other, mediaType: MediaType.ociManifest }
      yield* write(path.join(root, "index.json"), json({ schemaVersion: 2, manifests: [bad] }))
      assert.include(yield* openingFails(root), `invalid-digest: ${MediaType.ociManifest}: invalid digest`)
    })
  )

  it.live("refuses a listed manifest that is no JSON", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const store = yield* ContentStoreLayout.open({ root })
      const bytes = utf8("no JSON")
      yield* write(blobFile(store, descriptorOf(bytes).digest), bytes)
      const listed = descriptorOf(bytes, MediaType.ociManifest)
      yield* write(path.join(root, "index.json"), json({ schemaVersion: 2, manifests: [listed] }))
      assert.include(yield* openingFails(root), "failed to decode")
    })
  )
})

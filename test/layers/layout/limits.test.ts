import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import { writeFileSync } from "node:fs"
import * as path from "node:path"
import { gzipSync } from "node:zlib"
import * as ContentStoreLayout from "../../../src/layers/ContentStoreLayout.ts"
import { readArchiveEntries } from "../../../src/layers/layout/archiveEntries.ts"
import { makeIndexFile } from "../../../src/layers/layout/indexFile.ts"
import { makeAttempts } from "../../../src/layers/layout/layoutFailure.ts"
import { makeGraphLoader } from "../../../src/layers/layout/layoutGraph.ts"
import { directoryMedium } from "../../../src/layers/layout/layoutMedium.ts"
import { unpackedArchive } from "../../../src/layers/standalone/unpackedArchive.ts"
import { maxDocumentBytes } from "../../../src/services/Image.ts"
import { MediaType } from "../../../src/services/MediaType.ts"
import { content, manifest, push, pushAll } from "../../support/layoutStore.ts"
import { tarOf } from "../../support/tarArchive.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

describe("what a hostile layout may have", () => {
  it.live("is so many bytes of manifests: they stay in memory", () =>
    Effect.gen(function* () {
      const store = yield* ContentStoreLayout.open({ root: yield* temporaryDirectory })
      const images = ["1", "2", "3"].map((name) => manifest([], undefined, name))
      yield* pushAll(store, images)
      const bytes = images.reduce((sum, { descriptor }) => sum + descriptor.size, 0)
      const attempts = makeAttempts(store.location)
      const index = yield* (yield* makeIndexFile(attempts, true)).read("open", "test")
      const load = (limit: number) =>
        makeGraphLoader(directoryMedium(attempts), store.readDocument, limit)("open", index)
      assert.strictEqual((yield* load(bytes)).nodes.size, 3)
      assert.include((yield* Effect.flip(load(bytes - 1))).message, "bytes together")
    })
  )

  it.live("is manifests of 4 MiB: no larger one is read, and none is taken", () =>
    Effect.gen(function* () {
      const store = yield* ContentStoreLayout.open({ root: yield* temporaryDirectory })
      const large = content(MediaType.ociManifest, Buffer.alloc(maxDocumentBytes + 1, " "))
      assert.include((yield* Effect.flip(push(store, large))).message, "at most 4194304 are taken")
      assert.isFalse(yield* store.exists(large.descriptor.digest))
      yield* push(store, { ...large, descriptor: { ...large.descriptor, mediaType: "application/x" } })
      yield* store.tag(large.descriptor, "large")
      yield* ContentStoreLayout.open({ root: store.location })
      assert.include((yield* Effect.flip(store.collectGarbage)).message, "a document at most")
    })
  )

  it.live("is so many entries of an archive", () =>
    Effect.gen(function* () {
      const file = path.join(yield* temporaryDirectory, "layout.tar")
      const names = ["0", "1", "2"].map((digit) => `blobs/sha256/${digit.repeat(64)}`)
      writeFileSync(file, tarOf(...[...names, "ignored"].map((name) => ({ name, content: "x" }))))
      const handle = yield* Effect.acquireRelease(
        Effect.promise(() => fs.open(file, "r")),
        (opened) => Effect.promise(() => opened.close())
      )
      const attempts = makeAttempts(file)
      assert.strictEqual((yield* readArchiveEntries(attempts, handle, 3)).size, 3)
      assert.include((yield* Effect.flip(readArchiveEntries(attempts, handle, 2))).message, "more than 2 blobs")
    })
  )

  it.live("is so many times the size of a compressed archive", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const file = path.join(directory, "bomb.tar.gz")
      writeFileSync(file, gzipSync(new Uint8Array(4_000_000)))
      const unpack = (bytesTaken: number) => unpackedArchive(file, directory, { times: 100, bytesTaken })
      assert.include((yield* Effect.flip(unpack(1_000_000))).message, "it inflates to more than 1000000 bytes")
      yield* Effect.promise(() => fs.rm(path.join(directory, "input.tar")))
      assert.strictEqual(yield* unpack(4_000_000), path.join(directory, "input.tar"))
    })
  )
})

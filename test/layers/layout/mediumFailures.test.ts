import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { closeSync, ftruncateSync, openSync, readdirSync, writeSync } from "node:fs"
import * as path from "node:path"
import * as ContentStoreLayout from "../../../src/layers/ContentStoreLayout.ts"
import { noise } from "../../support/content.ts"
import { config, content, entriesOf, layer, manifest, push, pushAll } from "../../support/layoutStore.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const isRoot = process.getuid?.() === 0

/** A file system of its own in memory, of so many bytes; gone with the scope. */
const tmpfs = (bytes: number) =>
  Effect.flatMap(temporaryDirectory, (directory) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", directory])
        return directory
      }),
      (mounted) => Effect.sync(() => execFileSync("umount", [mounted]))
    )
  )

/** Takes all space but some. */
const fill = (directory: string, bytesLeft: number) => {
  const file = openSync(path.join(directory, "filler"), "w")
  let size = 0
  try {
    for (;;) size += writeSync(file, new Uint8Array(4096))
  } catch {
    ftruncateSync(file, size - bytesLeft)
  }
  closeSync(file)
}

describe.skipIf(!isRoot)("a layout on a full or read-only file system (skipped unless root: it mounts tmpfs)", () => {
  it.live("says that a blob does not fit, and leaves nothing of it", () =>
    Effect.gen(function* () {
      const root = path.join(yield* tmpfs(1024 * 1024), "store")
      const store = yield* ContentStoreLayout.open({ root })
      const big = content("application/x", noise(2 * 1024 * 1024))
      const error = yield* Effect.flip(push(store, big))
      assert.strictEqual(error._tag, "ContentStoreFailed")
      assert.include(error.message, "no space left")
      assert.isFalse(yield* store.exists(big.descriptor.digest))
      assert.deepStrictEqual(readdirSync(path.join(root, "ingest")), [])
      yield* push(store, layer("small"))
    })
  )

  it.live("keeps a manifest whole and listed, or not at all, wherever space ends", () =>
    Effect.gen(function* () {
      const outcomes = new Set<string>()
      for (let pages = 0; pages < 6; pages++) {
        const mounted = yield* tmpfs(1024 * 1024)
        const store = yield* ContentStoreLayout.open({ root: path.join(mounted, "store") })
        const first = manifest([], undefined, "first")
        yield* pushAll(store, [config, first])
        yield* store.tag(first.descriptor, "first")
        // The new index has to need a page more.
        for (let i = 0; i < 20; i++)
          yield* store.tag(first.descriptor, `a tag that takes some space ${"x".repeat(100)}${i}`)
        const before = entriesOf(store).length
        fill(mounted, pages * 4096)
        const image = manifest([], undefined, "second")
        const result = yield* Effect.result(push(store, image))
        outcomes.add(result._tag)
        const isThere = result._tag === "Success"
        if (!isThere) assert.strictEqual(result.failure._tag, "ContentStoreFailed")
        assert.strictEqual(yield* store.exists(image.descriptor.digest), isThere)
        assert.lengthOf(entriesOf(store), before + (isThere ? 1 : 0))
        assert.deepStrictEqual(readdirSync(path.join(mounted, "store/ingest")), [])
      }
      assert.deepStrictEqual([...outcomes].toSorted(), ["Failure", "Success"])
    })
  )

  it.live("is read where nothing can be written, and says why nothing changes", () =>
    Effect.gen(function* () {
      const mounted = yield* tmpfs(1024 * 1024)
      const root = path.join(mounted, "store")
      const image = manifest([])
      const writable = yield* ContentStoreLayout.open({ root })
      yield* pushAll(writable, [config, image])
      execFileSync("mount", ["-o", "remount,ro", mounted])
      const store = yield* ContentStoreLayout.open({ root })
      assert.deepStrictEqual(yield* store.readDocument(image.descriptor), Buffer.from(image.bytes))
      const errors = [
        yield* Effect.flip(push(store, layer("new"))),
        yield* Effect.flip(store.tag(image.descriptor, "v1")),
        yield* Effect.flip(store.delete(image.descriptor)),
        yield* Effect.flip(ContentStoreLayout.open({ root: path.join(mounted, "other") }))
      ]
      for (const error of errors) {
        assert.strictEqual(error._tag, "ContentStoreFailed")
        assert.include(error.message, "the file system is read-only")
      }
      assert.isTrue(yield* store.exists(image.descriptor.digest))
      execFileSync("mount", ["-o", "remount,rw", mounted])
    })
  )
})

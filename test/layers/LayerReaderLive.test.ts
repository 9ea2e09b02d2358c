import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as InflateZlib from "../../src/layers/InflateZlib.ts"
import * as LayerReaderLive from "../../src/layers/LayerReaderLive.ts"
import * as SpanStoreFile from "../../src/layers/SpanStoreFile.ts"
import { LayerReader } from "../../src/services/LayerReader.ts"
import { resolvePath } from "../../src/streams/layerTreeView.ts"
import { layerOf, observedBlob, openingOf, prose, tarOf } from "../support/lazyLayer.ts"
import { directory, entry, file } from "../support/tocEntries.ts"

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "soci-reader-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const reader = Layer.unwrap(Effect.map(temporaryDirectory, (path) => SpanStoreFile.layer({ directory: path }))).pipe(
  Layer.provide(InflateZlib.layer),
  (store) => Layer.provide(LayerReaderLive.layer, store)
)

const files = { "a/small": prose(1000, 2), "a/large": prose(300_000, 3), empty: prose(0) }
const lazy = layerOf(tarOf(files), { spanSize: 65_536 })

const openSample = LayerReader.use((service) => service.open(openingOf(lazy, observedBlob(lazy.bytes))))

describe("LayerReaderLive", () => {
  it.effect("reads files of a layer, whole and in part", () =>
    Effect.gen(function* () {
      const { tree, readFile } = yield* openSample
      for (const [path, content] of Object.entries(files)) {
        const node = resolvePath(tree, path)
        assert.isTrue(Buffer.from(content).equals(yield* readFile(node, 0, 1e9)), path)
      }
      const large = resolvePath(tree, "a/large")
      assert.deepStrictEqual(
        yield* readFile(large, 150_000, 10),
        new Uint8Array(files["a/large"].subarray(150_000, 150_010))
      )
      assert.deepStrictEqual(yield* readFile(large, 299_995, 10), new Uint8Array(files["a/large"].subarray(299_995)))
      assert.strictEqual((yield* readFile(large, 300_000, 10)).length, 0)
    }).pipe(Effect.provide(reader), Effect.scoped)
  )

  it.effect("gives nothing of a file whose tar header is not what the ztoc says", () =>
    Effect.gen(function* () {
      const { open } = yield* LayerReader
      const entries = lazy.ztoc.entries.map((one) => (one.name === "a/large" ? { ...one, gid: 7 } : one))
      const opening = openingOf(lazy, observedBlob(lazy.bytes))
      const { tree, readFile } = yield* open({ ...opening, ztoc: { ...lazy.ztoc, entries } })
      const error = yield* Effect.flip(readFile(resolvePath(tree, "a/large"), 100, 10))
      assert.deepInclude({ ...error }, { _tag: "TarHeaderMismatch", field: "gid" })
      assert.strictEqual((yield* readFile(resolvePath(tree, "a/small"), 100, 10)).length, 10)
    }).pipe(Effect.provide(reader), Effect.scoped)
  )

  it.effect("fetches nothing to read an empty file or behind the end of one", () =>
    Effect.gen(function* () {
      const { tree, readFile, spans } = yield* openSample
      yield* readFile(resolvePath(tree, "empty"), 0, 100)
      yield* readFile(resolvePath(tree, "a/small"), 1000, 100)
      assert.strictEqual((yield* spans.stats).spansLocal, 0)
    }).pipe(Effect.provide(reader), Effect.scoped)
  )

  it.effect("has nothing to read in directories and nodes that do not exist", () =>
    Effect.gen(function* () {
      const { tree, readFile } = yield* openSample
      assert.include((yield* Effect.flip(readFile(0, 0, 1))).message, "not a regular file")
      assert.include((yield* Effect.flip(readFile(tree.nodeCount, 0, 1))).message, "no such node")
    }).pipe(Effect.provide(reader), Effect.scoped)
  )

  it.effect("refuses a table of contents whose files lie outside the archive, or that makes no tree", () =>
    Effect.gen(function* () {
      const { open } = yield* LayerReader
      const opening = openingOf(lazy, observedBlob(lazy.bytes))
      const openWith = (...entries: ReadonlyArray<ReturnType<typeof entry>>) =>
        Effect.flip(Effect.scoped(open({ ...opening, ztoc: { ...lazy.ztoc, entries } })))
      const end = lazy.ztoc.uncompressedArchiveSize
      const outside = yield* openWith(directory("d"), file("f", { offset: end - 10, size: 11 }))
      assert.deepInclude({ ...outside }, { _tag: "InvalidZtoc", stage: "toc" })
      assert.strictEqual((yield* openWith(file("a\0")))._tag, "InvalidTree")
    }).pipe(Effect.provide(reader))
  )
})

/**
 * Spans that are kept when their layer is closed: over restarts, crashes and a full disk.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope, Stream } from "effect"
import { execFileSync, spawn } from "node:child_process"
import { existsSync, openSync, readdirSync, readSync, statSync, truncateSync, utimesSync, writeSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as InflateZlib from "../../../src/layers/InflateZlib.ts"
import * as SpanStoreFile from "../../../src/layers/SpanStoreFile.ts"
import { BlobReadFailed } from "../../../src/services/RemoteBlob.ts"
import { type LayerSpans, SpanStore } from "../../../src/services/SpanStore.ts"
import { type LazyLayer, layerOf, layerOfSize, observedBlob, openingOf, prose, tarOf } from "../../support/lazyLayer.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const boundless = { bytes: 2 ** 40, freeShare: 0 }

const isRoot = process.getuid?.() === 0

const storeIn = (directory: string, options: Partial<SpanStoreFile.SpanStoreOptions> = {}) =>
  Layer.build(
    SpanStoreFile.layer({ directory, keep: boundless, readAheadBytes: 0, ...options }).pipe(
      Layer.provide(InflateZlib.layer)
    )
  )

const sample = layerOfSize(1_500_000)

const down = (offset: number, length: number) =>
  Stream.fail(new BlobReadFailed({ blob: "test/blob", offset, length, reason: "the network is down" }))

/** What a store that was just started makes of a layer. Closed with the store. */
const withLayer = <A, E>(
  directory: string,
  lazy: LazyLayer,
  use: (spans: LayerSpans, requests: () => number) => Effect.Effect<A, E>,
  options: Partial<SpanStoreFile.SpanStoreOptions> & { readonly offline?: boolean } = {}
) =>
  Effect.gen(function* () {
    const observed = observedBlob(lazy.bytes, options.offline ? down : undefined)
    const store = yield* storeIn(directory, options)
    const spans = yield* SpanStore.use((one) => one.open(openingOf(lazy, observed))).pipe(Effect.provide(store))
    observed.reads.length = 0
    return yield* use(spans, () => observed.reads.length)
  }).pipe(Effect.scoped)

const readAll = (spans: LayerSpans, lazy: LazyLayer) =>
  Effect.map(spans.read(0, lazy.stream.length), (bytes) => assert.isTrue(Buffer.from(bytes).equals(lazy.stream)))

const fill = (directory: string, lazy = sample) => withLayer(directory, lazy, (spans) => readAll(spans, lazy))

const keptDirectories = (directory: string) =>
  readdirSync(join(directory, "layers")).map((name) => join(directory, "layers", name))

const onlyKept = (directory: string): string => {
  const [kept, ...others] = keptDirectories(directory)
  assert.deepStrictEqual(others, [])
  return kept ?? assert.fail("nothing is kept")
}

/** As if the machine had been started anew: the number of the boot in the file is another one. */
const changeBoot = (directory: string) => {
  const file = openSync(join(onlyKept(directory), "spans"), "r+")
  writeSync(file, Buffer.alloc(16, 7), 0, 16, 24)
}

const bytesOnDisk = (directory: string) => statSync(join(directory, "stream")).blocks * 512

describe("a layer whose spans are kept", () => {
  it.live("is read without the network once it was complete, by a store that was started later", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* fill(directory)
      yield* withLayer(directory, sample, (spans) => readAll(spans, sample), { offline: true })
    })
  )

  it.live("fetches only the spans it never had", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* withLayer(directory, sample, (spans) => spans.ensure(0, 200_000))
      yield* withLayer(directory, sample, (spans, requests) =>
        Effect.gen(function* () {
          yield* spans.ensure(0, 200_000)
          assert.strictEqual(requests(), 0)
          yield* readAll(spans, sample)
          assert.strictEqual(requests(), 1)
        })
      )
    })
  )

  it.live("has lost nothing when its process was killed", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const program = fileURLToPath(new URL("../../support/readSpans.ts", import.meta.url))
      yield* Effect.callback<void>((resume) => {
        const child = spawn(process.execPath, [program, directory, "1500000"], { stdio: ["ignore", "pipe", "inherit"] })
        child.stdout.once("data", () => child.kill("SIGKILL"))
        child.once("exit", () => resume(Effect.void))
      })
      yield* withLayer(directory, sample, (spans) => readAll(spans, sample), { offline: true })
    })
  )

  it.live("keeps over a loss of power what was flushed before, and nothing else", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* fill(directory)
      changeBoot(directory)
      yield* withLayer(directory, sample, (spans) => readAll(spans, sample), { offline: true })
    })
  )

  it.live("forgets after a loss of power what was not flushed", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* fill(directory)
      const file = openSync(join(onlyKept(directory), "spans"), "r+")
      const bits = Math.ceil(sample.ztoc.spanDigests.length / 8)
      writeSync(file, Buffer.alloc(bits), 0, bits, 40)
      yield* withLayer(directory, sample, (spans) => readAll(spans, sample), { offline: true })
      changeBoot(directory)
      writeSync(file, Buffer.alloc(bits), 0, bits, 40)
      yield* withLayer(directory, sample, (spans, requests) =>
        Effect.map(readAll(spans, sample), () => assert.isAbove(requests(), 0))
      )
    })
  )

  for (const [what, damage] of [
    ["whose bytes were lost", (kept: string) => truncateSync(join(kept, "stream"), 0)],
    ["whose bits were cut off", (kept: string) => truncateSync(join(kept, "spans"), 30)],
    ["whose bits are something else", (kept: string) => writeSync(openSync(join(kept, "spans"), "r+"), "NOTSPANS")]
  ] as const) {
    it.live(`is fetched again ${what}`, () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        yield* fill(directory)
        damage(onlyKept(directory))
        yield* withLayer(directory, sample, (spans, requests) =>
          Effect.map(readAll(spans, sample), () => assert.isAbove(requests(), 0))
        )
        yield* withLayer(directory, sample, (spans) => readAll(spans, sample), { offline: true })
      })
    )
  }

  it.live("leaves nothing when nothing of it was read", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* withLayer(directory, sample, () => Effect.void)
      assert.deepStrictEqual(keptDirectories(directory), [])
    })
  )

  it.live("is read beside a process that has it open, which does not share its file", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* withLayer(directory, sample, (first) =>
        Effect.gen(function* () {
          yield* readAll(first, sample)
          yield* withLayer(directory, sample, (second, requests) =>
            Effect.gen(function* () {
              assert.notStrictEqual(second.path, first.path)
              yield* readAll(second, sample)
              assert.isAbove(requests(), 0)
            })
          )
        })
      )
      assert.strictEqual(keptDirectories(directory).length, 1)
    })
  )

  it.live("is not what another ztoc says of the same layer", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const stream = tarOf({ data: prose(600_000) })
      const wide = layerOf(stream, { spanSize: 200_000 })
      const narrow = layerOf(stream, { spanSize: 65_536 })
      yield* fill(directory, wide)
      yield* withLayer(directory, narrow, (spans, requests) =>
        Effect.map(readAll(spans, narrow), () => assert.isAbove(requests(), 0))
      )
      assert.strictEqual(keptDirectories(directory).length, 2)
    })
  )
})

/** A store looks at its quota when a layer is opened. */
const openAnother = (directory: string, bytes: number) =>
  withLayer(directory, layerOfSize(70_000), () => Effect.void, { keep: { bytes, freeShare: 0 } })

/** A layer of the store at hand. */
const openIn = (lazy: LazyLayer) => SpanStore.use((store) => store.open(openingOf(lazy, observedBlob(lazy.bytes))))

describe("a quota", () => {
  const sizes = [400_000, 500_000, 600_000]
  const layers = sizes.map((size) => layerOfSize(size))

  /** Fills the layers; the first was used longest ago. Answers with their directories. */
  const fillAll = Effect.fnUntraced(function* (directory: string) {
    const kept: Array<string> = []
    for (const [i, lazy] of layers.entries()) {
      yield* fill(directory, lazy)
      const fresh = keptDirectories(directory).find((one) => !kept.includes(one)) ?? assert.fail("nothing was kept")
      kept.push(fresh)
      utimesSync(join(fresh, "spans"), 1000 + i, 1000 + i)
    }
    return kept
  })

  it.live("takes the layers that were used longest ago", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const [first = "", second = "", third = ""] = yield* fillAll(directory)
      yield* openAnother(directory, bytesOnDisk(second) + bytesOnDisk(third))
      assert.deepStrictEqual([first, second, third].map(existsSync), [false, true, true])
      yield* withLayer(directory, layers[1] ?? sample, (spans) => readAll(spans, layers[1] ?? sample), {
        offline: true
      })
    })
  )

  it.live("takes the end of a layer where that is enough, and what is left is still right", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const [first = "", second = "", third = ""] = yield* fillAll(directory)
      const before = bytesOnDisk(first)
      yield* openAnother(directory, before + bytesOnDisk(second) + bytesOnDisk(third) - 100_000)
      assert.isTrue(existsSync(first))
      assert.isAtMost(bytesOnDisk(first), before - 100_000)
      const lazy = layers[0] ?? sample
      yield* withLayer(directory, lazy, (spans) => spans.ensure(0, 100_000), { offline: true })
      yield* withLayer(directory, lazy, (spans, requests) =>
        Effect.map(readAll(spans, lazy), () => assert.strictEqual(requests(), 1))
      )
    })
  )

  it.live("never takes a layer that is open", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* withLayer(directory, sample, (spans) =>
        Effect.gen(function* () {
          yield* readAll(spans, sample)
          yield* openAnother(directory, 0)
          const bytes = Buffer.alloc(sample.stream.length)
          readSync(openSync(spans.path, "r"), bytes, 0, bytes.length, 0)
          assert.isTrue(bytes.equals(sample.stream))
        })
      )
    })
  )

  it.live("takes what was closed since, when a store opens another layer", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* Effect.gen(function* () {
        for (const lazy of layers) {
          yield* Effect.scoped(Effect.flatMap(openIn(lazy), (spans) => readAll(spans, lazy)))
        }
        assert.strictEqual(keptDirectories(directory).length, 1)
        yield* Effect.scoped(openIn(sample))
        assert.deepStrictEqual(keptDirectories(directory), [])
      }).pipe(Effect.provide(yield* storeIn(directory, { keep: { bytes: 0, freeShare: 0 } })))
    })
  )

  it.live("leaves a share of the disk free", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* fillAll(directory)
      const keep = { bytes: 2 ** 40, freeShare: 1 }
      yield* withLayer(directory, layerOfSize(70_000), () => Effect.void, { keep })
      assert.deepStrictEqual(keptDirectories(directory), [])
    })
  )
})

describe.skipIf(!isRoot)("a full disk (mounting a small one needs root)", () => {
  const smallDisk = Effect.flatMap(temporaryDirectory, (directory) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        execFileSync("mount", ["-t", "tmpfs", "-o", "size=600k", "tmpfs", directory])
        return directory
      }),
      () => Effect.sync(() => execFileSync("umount", [directory]))
    )
  )

  for (const keep of [undefined, boundless]) {
    it.live(`costs fetches, not reads (${keep ? "spans are kept" : "spans go with the layer"})`, () =>
      Effect.gen(function* () {
        const directory = yield* smallDisk
        const options = { memoryBytes: 300_000, ...(keep ? { keep } : {}) }
        yield* withLayer(
          directory,
          sample,
          (spans, requests) =>
            Effect.gen(function* () {
              for (const round of [1, 2]) {
                for (let offset = 0; offset < sample.stream.length; offset += 50_000) {
                  const bytes = yield* spans.read(offset, 50_000)
                  const expected = sample.stream.subarray(offset, offset + 50_000)
                  assert.isTrue(Buffer.from(bytes.subarray(0, expected.length)).equals(expected), `${round} ${offset}`)
                }
              }
              const { spansLocal } = yield* spans.stats
              assert.isAbove(spansLocal, 1)
              assert.isBelow(spansLocal, sample.ztoc.spanDigests.length)
              const before = requests()
              yield* spans.read(sample.stream.length - 100, 100)
              yield* spans.read(sample.stream.length - 200, 100)
              assert.isAtMost(requests(), before + 1)
            }),
          options
        )
      })
    )
  }

  it.live("is made room on by layers that nobody has open", () =>
    Effect.gen(function* () {
      const directory = yield* smallDisk
      const [first, second] = [layerOfSize(350_000), layerOfSize(360_000)]
      yield* fill(directory, first)
      yield* fill(directory, second)
      yield* withLayer(directory, second, (spans) => readAll(spans, second), { offline: true })
    })
  )

  it.live("does not keep a store from being closed", () =>
    Effect.gen(function* () {
      const directory = yield* smallDisk
      const scope = yield* Scope.make()
      yield* storeIn(directory).pipe(
        Effect.flatMap((store) =>
          SpanStore.use((one) => one.open(openingOf(sample, observedBlob(sample.bytes)))).pipe(Effect.provide(store))
        ),
        Effect.flatMap((spans) => readAll(spans, sample)),
        Scope.provide(scope)
      )
      yield* Scope.close(scope, Exit.void)
    })
  )
})

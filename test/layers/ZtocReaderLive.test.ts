import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Stream } from "effect"
import * as InflateLive from "../../src/layers/InflateLive.ts"
import * as ZtocReaderLive from "../../src/layers/ZtocReaderLive.ts"
import { Inflate } from "../../src/services/Inflate.ts"
import type { GzipZinfo, Ztoc } from "../../src/services/Ztoc.ts"
import { ZtocReader } from "../../src/services/ZtocReader.ts"
import { decodeGzipZinfo } from "../../src/streams/codec/zinfo.ts"
import { encodeGzipZinfo } from "../../src/streams/codec/zinfoWriter.ts"
import { layerBytes } from "../support/layerBytes.ts"
import { type LazyLayer, layerOf, prose, tarOf } from "../support/lazyLayer.ts"

const files = { "a/small": prose(1000, 2), "a/large": prose(900_000, 3), empty: prose(0), last: prose(5000, 4) }
const lazy = layerOf(tarOf(files), { spanSize: 65_536 })

interface Watched {
  active: number
  mostActive: number
  started: number
  interrupted: number
}

/** The real inflater, with its requests counted; `gate` holds them back. */
const watchedReader = (watched: Watched, gate: Effect.Effect<void> = Effect.void) =>
  ZtocReaderLive.layer.pipe(
    Layer.provide(
      Layer.effect(
        Inflate,
        Effect.map(Inflate, (inflate) =>
          Inflate.of({
            ...inflate,
            inflate: (request) =>
              Effect.suspend(() => {
                watched.started++
                watched.mostActive = Math.max(watched.mostActive, ++watched.active)
                return Effect.andThen(gate, inflate.inflate(request))
              }).pipe(
                Effect.onInterrupt(() => Effect.sync(() => watched.interrupted++)),
                Effect.ensuring(Effect.sync(() => watched.active--))
              )
          })
        )
      )
    ),
    Layer.provide(InflateLive.layer())
  )

const newWatched = (): Watched => ({ active: 0, mostActive: 0, started: 0, interrupted: 0 })
const reader = watchedReader(newWatched())

const open = (layer: LazyLayer, bytes = layerBytes(layer.bytes, 10_000)) =>
  Effect.map(
    ZtocReader.use((service) => service.open(layer.ztoc, bytes)),
    (opened) => ({ ...opened, bytes })
  )

const collected = <E>(bytes: Stream.Stream<Uint8Array, E>) =>
  Effect.map(Stream.runCollect(bytes), (chunks) => Buffer.concat(chunks))

const same = (actual: Uint8Array, expected: Uint8Array) => assert.isTrue(Buffer.from(expected).equals(actual))

/** Lets fibers run until nothing more can happen without the test. */
const settle = Effect.forEach(Array.from({ length: 200 }), () => Effect.yieldNow, { discard: true })

describe("ZtocReader", () => {
  it.live("gives whole files and any part of them", () =>
    Effect.gen(function* () {
      const layer = yield* open(lazy)
      for (const [name, content] of Object.entries(files)) {
        const entry = yield* layer.find(name)
        same(yield* layer.contentBytes(entry), content)
        for (const [offset, length] of [
          [0, 1],
          [1, 10],
          [999, 2],
          [65_000, 70_000],
          [890_000, 20_000],
          [-5, 3]
        ] as const) {
          const end = Math.max(offset + length, 0)
          same(yield* layer.contentBytes(entry, { offset, length }), content.subarray(Math.max(offset, 0), end))
        }
      }
    }).pipe(Effect.provide(reader))
  )

  it.live("gives every range of the stream, whatever the compression", () =>
    Effect.gen(function* () {
      for (const compression of ["gzip", "uncompressed"] as const) {
        const small = layerOf(tarOf({ a: prose(30_000), b: prose(7000, 5) }), { spanSize: 4096, compression })
        const layer = yield* open(small)
        for (let start = 0; start < small.stream.length; start += 997) {
          for (const length of [0, 1, 512, 4096, 20_000]) {
            same(yield* collected(layer.range(start, length)), small.stream.subarray(start, start + length))
          }
        }
      }
    }).pipe(Effect.provide(reader))
  )

  it.live("touches no span that holds no byte of the range", () =>
    Effect.gen(function* () {
      const layer = yield* open(lazy)
      layer.bytes.reads.length = 0
      const span = layer.spans[3]
      if (span === undefined) return assert.fail("too few spans")
      const { uncompressedStart, uncompressedEnd, compressedStart, compressedEnd } = span
      yield* Stream.runDrain(layer.range(uncompressedStart, uncompressedEnd - uncompressedStart))
      assert.deepStrictEqual(layer.bytes.reads, [{ offset: compressedStart, length: compressedEnd - compressedStart }])
    }).pipe(Effect.provide(reader))
  )

  it.live("reads nothing for a file without data, or behind the end of one", () =>
    Effect.gen(function* () {
      const layer = yield* open(lazy)
      layer.bytes.reads.length = 0
      assert.strictEqual((yield* layer.contentBytes(yield* layer.find("empty"))).length, 0)
      assert.strictEqual((yield* layer.contentBytes(yield* layer.find("last"), { offset: 5000 })).length, 0)
      assert.strictEqual((yield* collected(layer.range(1e12, 5))).length, 0)
      assert.isEmpty(layer.bytes.reads)
    }).pipe(Effect.provide(reader))
  )

  it.live("inflates one span once to read a part of a small file", () => {
    const watched = newWatched()
    return Effect.gen(function* () {
      const layer = yield* open(lazy)
      yield* layer.contentBytes(yield* layer.find("a/small"), { offset: 100, length: 10 })
      assert.strictEqual(watched.started, 1)
    }).pipe(Effect.provide(watchedReader(watched)))
  })

  it.live("gives the whole layer in order from several cores, in chunks of spans", () => {
    const watched = newWatched()
    return Effect.gen(function* () {
      const layer = yield* open(lazy)
      const chunks = yield* Stream.runCollect(layer.inflateLayer({ concurrency: 4 }))
      same(Buffer.concat(chunks), lazy.stream.subarray(0, lazy.ztoc.uncompressedArchiveSize))
      assert.strictEqual(chunks.length, layer.spans.length)
      assert.strictEqual(watched.mostActive, 4)
    }).pipe(Effect.provide(watchedReader(watched)))
  })

  it.live("inflates no more spans ahead of a slow reader than twice the concurrency and two", () => {
    const watched = newWatched()
    return Effect.gen(function* () {
      const many = layerOf(tarOf({ data: prose(2_000_000) }), { spanSize: 8192 })
      // All compressed bytes come at once: it is the pipeline that must hold back.
      const layer = yield* open(many, layerBytes(many.bytes, many.bytes.length))
      assert.isAbove(layer.spans.length, 40)
      for (const concurrency of [1, 2, 4]) {
        watched.started = 0
        let taken = 0
        yield* layer.inflateLayer({ concurrency }).pipe(
          Stream.rechunk(1),
          Stream.take(12),
          Stream.runForEach(() =>
            Effect.gen(function* () {
              yield* settle
              yield* Effect.sleep("2 millis")
              taken++
              assert.isAtMost(watched.started - taken, 2 * concurrency + 2)
            })
          )
        )
        assert.isAtMost(watched.started, 12 + 2 * concurrency + 2)
      }
    }).pipe(Effect.provide(watchedReader(watched)))
  })

  it.live("stops inflating and reading when it is interrupted", () => {
    const watched = newWatched()
    return Effect.gen(function* () {
      const inflating = yield* Deferred.make<void>()
      const gate = Effect.andThen(Deferred.succeed(inflating, undefined), Effect.never)
      yield* Effect.gen(function* () {
        let closed = 0
        const source = layerBytes(lazy.bytes, 10_000)
        const bytes = {
          ...source,
          read: (offset: number, length: number) =>
            source.read(offset, length).pipe(Stream.ensuring(Effect.sync(() => closed++)))
        }
        const { open: openLayer } = yield* ZtocReader
        const layer = yield* openLayer(lazy.ztoc, bytes)
        closed = 0
        const fiber = yield* Effect.forkChild(Stream.runDrain(layer.inflateLayer({ concurrency: 3 })))
        yield* Deferred.await(inflating)
        yield* settle
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(watched.active, 0)
        assert.isAbove(watched.interrupted, 0)
        assert.strictEqual(closed, 1)
      }).pipe(Effect.provide(watchedReader(watched, gate)))
    })
  })

  it.live("inflates nothing that was not verified", () => {
    const watched = newWatched()
    return Effect.gen(function* () {
      const { spans } = yield* open(lazy)
      const damaged = new Uint8Array(lazy.bytes)
      const at = (spans[2]?.compressedStart ?? 0) + 100
      damaged[at] = (damaged[at] ?? 0) ^ 1
      const layer = yield* open({ ...lazy, bytes: damaged })
      const chunks: Array<Uint8Array> = []
      const error = yield* Effect.flip(
        Stream.runForEach(layer.inflateLayer({ concurrency: 1 }), (chunk) => Effect.sync(() => chunks.push(chunk)))
      )
      assert.deepInclude({ ...error }, { _tag: "SpanUnavailable", span: 2, kind: "digest" })
      assert.strictEqual(watched.started, 2)
      assert.strictEqual(chunks.length, 2)
    }).pipe(Effect.provide(watchedReader(watched)))
  })

  it.live("gives nothing of a file whose tar header is not what the ztoc says", () =>
    Effect.gen(function* () {
      const entries = lazy.ztoc.entries.map((entry) => ({ ...entry, uid: entry.uid + 1 }))
      const layer = yield* open({ ...lazy, ztoc: { ...lazy.ztoc, entries } })
      for (const part of [{}, { offset: 899_000 }]) {
        const entry = yield* layer.find("a/large")
        const error = yield* Effect.flip(layer.contentBytes(entry, part))
        assert.strictEqual(error._tag, "TarHeaderMismatch")
        assert.include(error.message, "file attributes do not match tar header: uid: expected 1, actual 0")
      }
    }).pipe(Effect.provide(reader))
  )

  it.live("follows links by their literal names, and refuses those that do not end", () =>
    Effect.gen(function* () {
      const [small, ...rest] = lazy.ztoc.entries
      if (small === undefined) return assert.fail("no entries")
      const link = (name: string, linkname: string) => ({ ...small, name, linkname, size: 0, type: "symlink" })
      const links = [link("l1", "l2"), link("l2", "a/small"), link("x", "y"), link("y", "x"), link("gone", "nowhere")]
      const zeroSized = links.map((entry) => ({ ...entry, offset: 0 }))
      const layer = yield* open({ ...lazy, ztoc: { ...lazy.ztoc, entries: [...zeroSized, small, ...rest] } })
      assert.strictEqual((yield* layer.find("l1")).name, "a/small")
      assert.strictEqual((yield* Effect.flip(layer.find("x")))._tag, "LinkLoop")
      assert.include((yield* Effect.flip(layer.find("gone"))).message, "file nowhere does not exist in metadata")
      assert.strictEqual(
        (yield* Effect.flip(layer.find("/a/small"))).message,
        "file /a/small does not exist in metadata"
      )
    }).pipe(Effect.provide(reader))
  )

  it.live("gives no memory to a span that cannot inflate to its size", () =>
    Effect.gen(function* () {
      const one = layerOf(tarOf({ data: prose(10_000) }), { spanSize: 1_000_000 })
      const ztoc: Ztoc = { ...one.ztoc, uncompressedArchiveSize: 900_000_000 }
      const layer = yield* open({ ...one, ztoc })
      const error = yield* Effect.flip(Stream.runDrain(layer.inflateLayer()))
      assert.include(error.message, "cannot become 900000000")
    }).pipe(Effect.provide(reader))
  )

  it.live("refuses a layer of another size, and files too large for memory", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(open(lazy, layerBytes(lazy.bytes.subarray(1))))
      assert.deepInclude({ ...error }, { _tag: "InvalidZtoc", field: "compressed_archive_size" })
      const layer = yield* open(lazy)
      const entry = { ...(yield* layer.find("a/large")), size: 2 ** 31 }
      assert.strictEqual((yield* Effect.flip(layer.contentBytes(entry)))._tag, "TooLargeForMemory")
      assert.strictEqual((yield* Effect.flip(layer.contentBytes({ ...entry, size: 5 })))._tag, "FileNotInZtoc")
    }).pipe(Effect.provide(reader))
  )
})

const withWindow = (ztoc: Ztoc, change: (zinfo: GzipZinfo) => void): Effect.Effect<Ztoc, unknown> =>
  Effect.map(Effect.fromResult(decodeGzipZinfo(new Uint8Array(ztoc.checkpoints))), (zinfo) => {
    change(zinfo)
    return { ...ztoc, checkpoints: encodeGzipZinfo(zinfo) }
  })

const verify = (ztoc: Ztoc, bytes: Uint8Array = lazy.bytes) =>
  ZtocReader.use((service) => service.verify(ztoc, layerBytes(bytes, 10_000)))

describe("the check of a whole layer", () => {
  it.live("counts the spans and files of a good one", () =>
    Effect.gen(function* () {
      const verified = yield* verify(lazy.ztoc)
      assert.deepStrictEqual(verified, { spans: lazy.ztoc.spanDigests.length, entries: 4 })
    }).pipe(Effect.provide(reader))
  )

  it.live("finds a window that is not the output before its checkpoint", () =>
    Effect.gen(function* () {
      const ztoc = yield* withWindow(lazy.ztoc, ({ checkpoints }) => {
        const window = checkpoints[4]?.window
        if (window !== undefined) window[0] = (window[0] ?? 0) ^ 0xff
      })
      const error = yield* Effect.flip(verify(ztoc))
      assert.deepInclude({ ...error }, { _tag: "InvalidZtoc", field: "checkpoints[4].window" })
    }).pipe(Effect.provide(reader))
  )

  it.live("finds entries that the ztoc leaves out, first, between others and last", () =>
    Effect.gen(function* () {
      for (const [index, kind] of [
        [0, "length"],
        [1, "length"],
        [3, "unlisted"]
      ] as const) {
        const entries = lazy.ztoc.entries.toSpliced(index, 1)
        const error = yield* Effect.flip(verify({ ...lazy.ztoc, entries }))
        assert.deepInclude({ ...error }, { _tag: "TarHeaderMismatch", kind })
      }
    }).pipe(Effect.provide(reader))
  )
})

import { assert, describe, it, layer } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Metric, Queue, Scope, Stream } from "effect"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as InflateZlib from "../../src/layers/InflateZlib.ts"
import * as SpanStoreFile from "../../src/layers/SpanStoreFile.ts"
import { Inflate } from "../../src/services/Inflate.ts"
import { BlobReadFailed } from "../../src/services/RemoteBlob.ts"
import { SpanStore } from "../../src/services/SpanStore.ts"
import { areLocal, isPresent, viewSpanTable } from "../../src/streams/spanTable.ts"
import { digestOf } from "../../src/streams/verify.ts"
import { chunked } from "../support/content.ts"
import { layerOf, layerOfSize, observedBlob, openingOf, prose, tarOf } from "../support/lazyLayer.ts"

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "soci-spans-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
)

const storeWith = (options: Omit<SpanStoreFile.SpanStoreOptions, "directory"> = {}) =>
  Layer.unwrap(Effect.map(temporaryDirectory, (directory) => SpanStoreFile.layer({ ...options, directory }))).pipe(
    Layer.provide(InflateZlib.layer)
  )

/** No reading ahead, so that each request is one that somebody asked for. */
const quiet = storeWith({ readAheadBytes: 0 })

const open = (...opening: Parameters<SpanStore["Service"]["open"]>) => SpanStore.use((store) => store.open(...opening))

const networkFailure = (offset: number, length: number) =>
  Stream.fail(new BlobReadFailed({ blob: "test/blob", offset, length, reason: "connection reset" }))

const sample = layerOfSize(1_500_000)
const sampleSpans = sample.ztoc.spanDigests.length

/** Bytes of the stream that only a span with this number holds. */
const inSpan = (table: { readonly starts: Float64Array }, span: number) => (table.starts[span] ?? 0) + 100

describe("SpanStoreFile", () => {
  for (const compression of ["gzip", "uncompressed"] as const) {
    it.live(`reads any range of a layer (${compression})`, () =>
      Effect.gen(function* () {
        const lazy = layerOfSize(1_000_000, compression)
        const spans = yield* open(openingOf(lazy, observedBlob(lazy.bytes)))
        for (const [offset, length] of [
          [0, 1],
          [65_535, 2],
          [500_000, 200_000],
          [0, lazy.stream.length],
          [lazy.stream.length - 10, 100],
          [lazy.stream.length, 10],
          [-5, 10]
        ] as const) {
          const expected = lazy.stream.subarray(Math.max(offset, 0), Math.max(offset + length, 0))
          assert.isTrue(Buffer.from(expected).equals(yield* spans.read(offset, length)), `${offset} ${length}`)
        }
      }).pipe(Effect.provide(storeWith()), Effect.scoped)
    )
  }

  layer(quiet)("without reading ahead", (it) => {
    it.effect("fetches only the spans that hold a byte of the range, and those once", () =>
      Effect.gen(function* () {
        const observed = observedBlob(sample.bytes)
        const spans = yield* open(openingOf(sample, observed))
        observed.reads.length = 0
        const { starts } = spans.table
        yield* spans.ensure(starts[3] ?? 0, (starts[4] ?? 0) - (starts[3] ?? 0))
        assert.strictEqual(observed.reads.length, 1)
        assert.isTrue(isPresent(spans.table, 3))
        assert.isFalse(isPresent(spans.table, 2))
        assert.isFalse(isPresent(spans.table, 4))
        yield* spans.ensure(inSpan(spans.table, 3), 10)
        assert.strictEqual(observed.reads.length, 1)
        assert.deepInclude(yield* spans.stats, { spans: sampleSpans, spansLocal: 1, requests: 1, digestMismatches: 0 })
      })
    )

    it.effect("asks for neighbouring spans in one request, around those that are there", () =>
      Effect.gen(function* () {
        const observed = observedBlob(sample.bytes)
        const spans = yield* open(openingOf(sample, observed))
        observed.reads.length = 0
        yield* spans.ensure(inSpan(spans.table, 4), 1)
        yield* spans.ensure(0, spans.size)
        assert.strictEqual(observed.reads.length, 3)
        const fetched = observed.reads.reduce((sum, { length }) => sum + length, 0)
        // Neighbours share a byte at most.
        assert.isAtMost(fetched, sample.bytes.length + 3)
        assert.strictEqual((yield* spans.stats).fetchedBytes, fetched)
        assert.isTrue(areLocal(viewSpanTable(spans.table.buffer), 0, sampleSpans - 1))
      })
    )

    it.effect("lets a hundred readers of a span wait for one fetch", () =>
      Effect.gen(function* () {
        const observed = observedBlob(sample.bytes)
        const spans = yield* open(openingOf(sample, observed))
        observed.reads.length = 0
        const gate = yield* Deferred.make<void>()
        const respond = observed.respond
        observed.respond = (offset, length) => Stream.unwrap(Effect.as(Deferred.await(gate), respond(offset, length)))
        const offset = inSpan(spans.table, 5)
        const readers = yield* Effect.forkChild(
          Effect.all(
            Array.from({ length: 100 }, (_, i) => spans.read(offset + i, 1)),
            { concurrency: "unbounded" }
          )
        )
        yield* Effect.yieldNow
        yield* Deferred.succeed(gate, undefined)
        const bytes = yield* Fiber.join(readers)
        assert.isTrue(Buffer.concat(bytes).equals(sample.stream.subarray(offset, offset + 100)))
        assert.strictEqual(observed.reads.length, 1)
      })
    )

    it.effect("makes a span readable before the rest of its request has come", () =>
      Effect.gen(function* () {
        const observed = observedBlob(sample.bytes)
        const spans = yield* open(openingOf(sample, observed))
        const [started, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        observed.respond = (offset, length) => {
          const bytes = sample.bytes.subarray(offset, offset + length)
          const later = Stream.unwrap(Effect.as(Deferred.await(gate), chunked(bytes.subarray(-1000), 1000)))
          const sooner = Stream.unwrap(
            Effect.as(Deferred.succeed(started, undefined), chunked(bytes.subarray(0, -1000), 9999))
          )
          return Stream.concat(sooner, later)
        }
        const all = yield* Effect.forkChild(spans.ensure(0, spans.size))
        yield* Deferred.await(started)
        yield* spans.ensure(inSpan(spans.table, 1), 1)
        assert.isFalse(isPresent(spans.table, sampleSpans - 1))
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(all)
        assert.strictEqual((yield* spans.stats).requests, 1)
      })
    )

    it.effect("fetches a span again whose bytes were wrong", () =>
      Effect.gen(function* () {
        const observed = observedBlob(sample.bytes)
        const spans = yield* open(openingOf(sample, observed))
        const honest = observed.respond
        observed.respond = (offset, length) => {
          observed.respond = honest
          return Stream.map(honest(offset, length), (chunk) => chunk.map((byte) => byte ^ 1))
        }
        const offset = inSpan(spans.table, 2)
        assert.deepStrictEqual(
          yield* spans.read(offset, 50),
          new Uint8Array(sample.stream.subarray(offset, offset + 50))
        )
        assert.strictEqual((yield* spans.stats).digestMismatches, 1)
      })
    )

    it.effect("fails with both digests after three more fetches, and tries anew for the next reader", () =>
      Effect.gen(function* () {
        const observed = observedBlob(sample.bytes)
        const spans = yield* open(openingOf(sample, observed))
        const honest = observed.respond
        observed.reads.length = 0
        observed.respond = (offset, length) =>
          Stream.map(honest(offset, length), (chunk) => chunk.map((byte) => byte ^ 1))
        const error = yield* Effect.flip(spans.ensure(inSpan(spans.table, 2), 1))
        const { offset = 0, length = 0 } = observed.reads[0] ?? {}
        const wrong = sample.bytes.subarray(offset, offset + length).map((byte) => byte ^ 1)
        assert.deepInclude(
          { ...error },
          { span: 2, kind: "digest", expectedDigest: sample.ztoc.spanDigests[2] ?? "", actualDigest: digestOf(wrong) }
        )
        assert.strictEqual(observed.reads.length, 4)
        assert.isFalse(isPresent(spans.table, 2))
        observed.respond = honest
        yield* spans.ensure(inSpan(spans.table, 2), 1)
      })
    )

    it.effect("does not let a wrong span spoil its neighbours in the same request", () =>
      Effect.gen(function* () {
        const observed = observedBlob(sample.bytes)
        const spans = yield* open(openingOf(sample, observed))
        const lie = sample.bytes.slice()
        lie.set([(lie[Math.floor(lie.length / 2)] ?? 0) ^ 1], Math.floor(lie.length / 2))
        observed.respond = (offset, length) => chunked(lie.subarray(offset, offset + length), 10_000)
        assert.strictEqual((yield* Effect.flip(spans.ensure(0, spans.size))).kind, "digest")
        const { spansLocal } = yield* spans.stats
        assert.isAbove(spansLocal, 1)
      })
    )

    it.effect("fails when the network does, and fetches again for the next reader", () =>
      Effect.gen(function* () {
        const observed = observedBlob(sample.bytes)
        const spans = yield* open(openingOf(sample, observed))
        const honest = observed.respond
        observed.respond = (offset, length) =>
          Stream.concat(Stream.take(honest(offset, length), 2), networkFailure(offset, length))
        const error = yield* Effect.flip(spans.ensure(inSpan(spans.table, 7), 1))
        assert.strictEqual(error.kind, "network")
        assert.include(error.message, "connection reset")
        observed.respond = honest
        yield* spans.ensure(inSpan(spans.table, 7), 1)
      })
    )

    it.effect("keeps the spans that came before the network failed", () =>
      Effect.gen(function* () {
        const observed = observedBlob(sample.bytes)
        const spans = yield* open(openingOf(sample, observed))
        observed.respond = (offset, length) =>
          Stream.concat(chunked(sample.bytes.subarray(offset, offset + length / 2), 10_000), networkFailure(0, 0))
        yield* Effect.flip(spans.ensure(0, spans.size))
        assert.isTrue(isPresent(spans.table, 0))
        assert.isTrue(isPresent(spans.table, 1))
      })
    )

    it.effect("takes a blob that ends early, or goes on, for a failure of the network", () =>
      Effect.gen(function* () {
        const observed = observedBlob(sample.bytes)
        const spans = yield* open(openingOf(sample, observed))
        observed.respond = (offset, length) => chunked(sample.bytes.subarray(offset, offset + length - 1), 10_000)
        const short = yield* Effect.flip(spans.ensure(inSpan(spans.table, 1), 1))
        assert.strictEqual(short.kind, "network")
        observed.respond = () => Stream.forever(Stream.succeed(new Uint8Array(100)))
        assert.strictEqual((yield* Effect.flip(spans.ensure(inSpan(spans.table, 3), 1))).kind, "network")
      })
    )

    it.effect("fails when verified bytes do not inflate to what the ztoc says", () =>
      Effect.gen(function* () {
        const corrupt = sample.bytes.slice().fill(0xff, 10, 3000)
        const first = sample.ztoc.spanDigests[0]
        const observed = observedBlob(corrupt)
        const before = yield* open(openingOf(sample, observed))
        const mismatch = yield* Effect.flip(before.ensure(0, 1))
        assert.strictEqual(mismatch.expectedDigest, first)
        const spanDigests = [mismatch.actualDigest ?? "", ...sample.ztoc.spanDigests.slice(1)]
        const spans = yield* open({ ...openingOf(sample, observed), ztoc: { ...sample.ztoc, spanDigests } })
        const error = yield* Effect.flip(spans.ensure(0, 1))
        assert.strictEqual(error.kind, "inflate")
        assert.strictEqual((yield* Effect.flip(spans.ensure(0, 1))).kind, "inflate")
      })
    )

    it.effect("goes on for those who wait when one of them is interrupted", () =>
      Effect.gen(function* () {
        const observed = observedBlob(sample.bytes)
        const spans = yield* open(openingOf(sample, observed))
        observed.reads.length = 0
        const started = yield* Queue.unbounded<void>()
        const gate = yield* Deferred.make<void>()
        const honest = observed.respond
        observed.respond = (offset, length) =>
          Stream.unwrap(
            Effect.andThen(Queue.offer(started, undefined), Effect.as(Deferred.await(gate), honest(offset, length)))
          )
        const one = yield* Effect.forkChild(spans.ensure(inSpan(spans.table, 1), 1))
        const other = yield* Effect.forkChild(spans.ensure(inSpan(spans.table, 1), 1))
        yield* Queue.take(started)
        yield* Fiber.interrupt(one)
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(other)
        assert.strictEqual(observed.interrupted, 0)
        assert.strictEqual(observed.reads.length, 1)
      })
    )

    it.effect("gives up a fetch that nobody waits for any more, and can begin it again", () =>
      Effect.gen(function* () {
        const observed = observedBlob(sample.bytes)
        const spans = yield* open(openingOf(sample, observed))
        const started = yield* Queue.unbounded<void>()
        const ended = yield* Queue.unbounded<void>()
        const honest = observed.respond
        observed.respond = () =>
          Stream.unwrap(
            Effect.onInterrupt(Effect.andThen(Queue.offer(started, undefined), Effect.never), () =>
              Queue.offer(ended, undefined)
            )
          )
        const readers = yield* Effect.forkChild(
          Effect.all([spans.ensure(inSpan(spans.table, 1), 1), spans.ensure(inSpan(spans.table, 2), 1)], {
            concurrency: "unbounded"
          })
        )
        yield* Queue.take(started)
        yield* Fiber.interrupt(readers)
        yield* Queue.take(ended)
        observed.respond = honest
        yield* spans.ensure(inSpan(spans.table, 1), 1)
      })
    )

    it.effect("never has more than four requests of a layer at the same time", () =>
      Effect.gen(function* () {
        const observed = observedBlob(sample.bytes)
        const spans = yield* open(openingOf(sample, observed))
        const honest = observed.respond
        const gate = yield* Deferred.make<void>()
        observed.respond = (offset, length) => {
          if (observed.active === 4) Deferred.doneUnsafe(gate, Effect.void)
          return Stream.unwrap(Effect.as(Deferred.await(gate), honest(offset, length)))
        }
        const every = Array.from({ length: Math.floor(sampleSpans / 2) }, (_, i) =>
          spans.ensure(inSpan(spans.table, 2 * i), 1)
        )
        yield* Effect.all(every, { concurrency: "unbounded" })
        assert.strictEqual(observed.mostActive, 4)
      })
    )

    it.effect("tells those who wait that the layer is closed, and leaves nothing behind", () =>
      Effect.gen(function* () {
        const observed = observedBlob(sample.bytes)
        const scope = yield* Scope.make()
        const spans = yield* Scope.provide(open(openingOf(sample, observed)), scope)
        const started = yield* Deferred.make<void>()
        observed.respond = () => Stream.unwrap(Effect.andThen(Deferred.succeed(started, undefined), Effect.never))
        const reader = yield* Effect.forkChild(Effect.flip(spans.ensure(inSpan(spans.table, 1), 1)))
        yield* Deferred.await(started)
        assert.isTrue(existsSync(spans.path))
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual((yield* Fiber.join(reader)).kind, "closed")
        assert.strictEqual((yield* Effect.flip(spans.ensure(0, 1))).kind, "closed")
        assert.strictEqual(observed.interrupted, 1)
        assert.isFalse(existsSync(join(spans.path, "..")))
      })
    )

    it.effect("shares a layer between those who open it, until the last one closes it", () =>
      Effect.gen(function* () {
        const [one, other] = [observedBlob(sample.bytes), observedBlob(sample.bytes)]
        const [first, second] = [yield* Scope.make(), yield* Scope.make()]
        const spans = yield* Scope.provide(open(openingOf(sample, one)), first)
        const same = yield* Scope.provide(open(openingOf(sample, other)), second)
        assert.strictEqual(same.path, spans.path)
        yield* spans.ensure(inSpan(spans.table, 1), 1)
        yield* same.ensure(inSpan(spans.table, 1), 1)
        assert.deepStrictEqual(other.reads, [])
        // What the first one brought may be closed with its scope: the other's blob is read from now on.
        yield* Scope.close(first, Exit.void)
        one.reads.length = 0
        yield* same.ensure(inSpan(spans.table, 3), 1)
        assert.deepStrictEqual(one.reads, [])
        assert.strictEqual(other.reads.length, 1)
        assert.isTrue(existsSync(same.path))
        yield* Scope.close(second, Exit.void)
        assert.isFalse(existsSync(same.path))
      })
    )

    it.effect("reads from the other blob of a layer when one fails or lies", () =>
      Effect.gen(function* () {
        const [broken, sound] = [observedBlob(sample.bytes), observedBlob(sample.bytes)]
        const spans = yield* open(openingOf(sample, broken))
        yield* open(openingOf(sample, sound))
        broken.respond = networkFailure
        yield* spans.ensure(inSpan(spans.table, 1), 1)
        broken.respond = (_, length) => Stream.succeed(new Uint8Array(length))
        yield* spans.ensure(inSpan(spans.table, 4), 1)
        assert.strictEqual((yield* spans.stats).digestMismatches, 1)
      })
    )

    it.effect("does not share a layer between two ztocs", () =>
      Effect.gen(function* () {
        const coarse = layerOf(sample.stream, { spanSize: 300_000 })
        const one = yield* open(openingOf(sample, observedBlob(sample.bytes)))
        const other = yield* open(openingOf(coarse, observedBlob(coarse.bytes)))
        assert.strictEqual(one.layer, other.layer)
        assert.notStrictEqual(one.path, other.path)
      })
    )

    it.effect("refuses a ztoc of another size and a layer without the gzip header", () =>
      Effect.gen(function* () {
        const longer = observedBlob(Buffer.concat([sample.bytes, Buffer.alloc(1)]))
        assert.strictEqual((yield* Effect.flip(open(openingOf(sample, longer))))._tag, "InvalidZtoc")
        const other = observedBlob(sample.bytes.map((byte, i) => (i === 0 ? 0 : byte)))
        assert.strictEqual((yield* Effect.flip(open(openingOf(sample, other))))._tag, "InvalidZtoc")
        const empty = { ...layerOf(new Uint8Array(0), { spanSize: 512, compression: "uncompressed" }) }
        const liar = { ...empty, ztoc: { ...empty.ztoc, uncompressedArchiveSize: 1e6 } }
        assert.strictEqual((yield* Effect.flip(open(openingOf(liar, observedBlob(empty.bytes)))))._tag, "InvalidZtoc")
        assert.strictEqual((yield* open(openingOf(empty, observedBlob(empty.bytes)))).size, 0)
        const named = layerOf(sample.stream, { spanSize: 65_536, name: "layer.tar" })
        const unnamed = observedBlob(named.bytes.map((byte, i) => (i === 3 ? 0 : byte)))
        yield* open(openingOf(named, observedBlob(named.bytes)))
        assert.strictEqual((yield* Effect.flip(open(openingOf(named, unnamed))))._tag, "InvalidZtoc")
      })
    )

    it.effect("does not remember that opening failed", () =>
      Effect.gen(function* () {
        const observed = observedBlob(sample.bytes, networkFailure)
        const error = yield* Effect.flip(open(openingOf(sample, observed)))
        assert.strictEqual(error._tag, "SpanUnavailable")
        yield* open(openingOf(sample, observedBlob(sample.bytes)))
      })
    )

    it.effect("holds the archive and no more when the stream goes on behind it", () =>
      Effect.gen(function* () {
        const tail = prose(400_000, 7)
        const lazy = layerOf(Buffer.concat([tarOf({ data: prose(200_000) }), tail]), { spanSize: 65_536 })
        const observed = observedBlob(lazy.bytes)
        const spans = yield* open(openingOf(lazy, observed))
        assert.strictEqual(spans.size, lazy.ztoc.uncompressedArchiveSize)
        yield* spans.ensure(0, Number.MAX_SAFE_INTEGER)
        const { spansLocal, fetchedBytes } = yield* spans.stats
        assert.strictEqual(spansLocal, spans.table.count)
        assert.isBelow(fetchedBytes, lazy.bytes.length / 2)
        assert.isTrue(readFileSync(spans.path).equals(lazy.stream.subarray(0, spans.size)))
      })
    )

    it.effect("rounds the file up to a tar block", () =>
      Effect.gen(function* () {
        const tar = tarOf({ data: prose(1000) }).subarray(0, 512 + 1000)
        const lazy = layerOf(tar, { spanSize: 600, compression: "uncompressed" })
        const spans = yield* open(openingOf(lazy, observedBlob(lazy.bytes)))
        assert.strictEqual(spans.size, 1536)
        assert.strictEqual(statSync(spans.path).size, 1536)
        assert.deepStrictEqual(
          yield* spans.read(1510, 100),
          new Uint8Array([...tar.subarray(1510), ...new Uint8Array(24)])
        )
      })
    )
  })

  it.effect("reads ahead of a sequential reader, further each time", () =>
    Effect.gen(function* () {
      const observed = observedBlob(sample.bytes)
      const spans = yield* open(openingOf(sample, observed))
      observed.reads.length = 0
      for (let span = 0; span < sampleSpans; span++) yield* spans.ensure(inSpan(spans.table, span), 1)
      assert.isBelow(observed.reads.length, sampleSpans / 2)
      assert.strictEqual((yield* spans.stats).spansLocal, sampleSpans)
    }).pipe(Effect.provide(storeWith()), Effect.scoped)
  )

  it.effect("reads on before a sequential reader misses again", () =>
    Effect.gen(function* () {
      const observed = observedBlob(sample.bytes)
      const spans = yield* open(openingOf(sample, observed))
      for (const span of [0, 1, 3]) yield* spans.ensure(inSpan(spans.table, span), 1)
      // Spans 4 and 5 are read ahead.
      while (!areLocal(spans.table, 0, 5) || observed.active > 0) yield* Effect.yieldNow
      const begun = yield* Deferred.make<void>()
      const honest = observed.respond
      observed.respond = (offset, length) =>
        Stream.unwrap(Effect.as(Deferred.succeed(begun, undefined), honest(offset, length)))
      assert.isFalse(isPresent(spans.table, 6))
      yield* spans.ensure(inSpan(spans.table, 5), 1)
      yield* Deferred.await(begun)
    }).pipe(Effect.provide(storeWith()), Effect.scoped)
  )

  it.effect("lets a read pass by a large fill", () =>
    Effect.gen(function* () {
      const observed = observedBlob(sample.bytes)
      const spans = yield* open(openingOf(sample, observed))
      const honest = observed.respond
      const started = yield* Deferred.make<void>()
      observed.respond = () => Stream.unwrap(Effect.andThen(Deferred.succeed(started, undefined), Effect.never))
      const fill = yield* Effect.forkChild(spans.ensure(0, spans.size))
      yield* Deferred.await(started)
      observed.respond = honest
      const last = sampleSpans - 1
      yield* spans.ensure(inSpan(spans.table, last), 1)
      assert.isFalse(areLocal(spans.table, 1, last - 1))
      yield* Fiber.interrupt(fill)
    }).pipe(Effect.provide(storeWith({ requestsPerLayer: 2, requestBytes: 1, readAheadBytes: 0 })), Effect.scoped)
  )

  it.effect("inflates no more spans at the same time than it may", () => {
    let [active, most] = [0, 0]
    const counting = Layer.effect(
      Inflate,
      Effect.map(Inflate, (inflate) =>
        Inflate.of({
          implementation: inflate.implementation,
          inflate: (request) =>
            Effect.suspend(() => {
              most = Math.max(most, ++active)
              return inflate.inflate(request)
            }).pipe(Effect.ensuring(Effect.sync(() => active--)))
        })
      )
    ).pipe(Layer.provide(InflateZlib.layer))
    return Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const build = SpanStoreFile.layer({ directory, inflates: 2, requestBytes: 1 }).pipe(Layer.provide(counting))
      const store = yield* Layer.build(build)
      const spans = yield* Effect.provide(open(openingOf(sample, observedBlob(sample.bytes))), store)
      yield* spans.ensure(0, spans.size)
      assert.strictEqual(most, 2)
    })
  })

  it.effect("does not read ahead of one that jumps", () =>
    Effect.gen(function* () {
      const observed = observedBlob(sample.bytes)
      const spans = yield* open(openingOf(sample, observed))
      for (const span of [9, 2, 14, 5, 0, 12]) yield* spans.ensure(inSpan(spans.table, span), 1)
      assert.strictEqual((yield* spans.stats).spansLocal, 6)
    }).pipe(Effect.provide(storeWith()), Effect.scoped)
  )

  it.effect("does not try again and again to read ahead what cannot be had", () =>
    Effect.gen(function* () {
      const observed = observedBlob(sample.bytes)
      const spans = yield* open(openingOf(sample, observed))
      const honest = observed.respond
      const failing = sample.bytes.length / 2
      observed.respond = (offset, length) =>
        offset + length > failing ? networkFailure(offset, length) : honest(offset, length)
      for (let span = 0; span < sampleSpans / 2 - 1; span++) yield* spans.ensure(inSpan(spans.table, span), 1)
      yield* Effect.exit(spans.ensure(inSpan(spans.table, sampleSpans - 1), 1))
      assert.isAtMost(observed.reads.length, sampleSpans)
    }).pipe(Effect.provide(storeWith({ requestBytes: 1 })), Effect.scoped)
  )

  it.effect("gives up reading ahead for a read that finds no free request", () =>
    Effect.gen(function* () {
      const observed = observedBlob(sample.bytes)
      const spans = yield* open(openingOf(sample, observed))
      const honest = observed.respond
      // Where more than a span is asked for, the first one comes, and then nothing.
      observed.respond = (offset, length) =>
        length > 60_000
          ? Stream.concat(chunked(sample.bytes.subarray(offset, offset + 50_000), 10_000), Stream.never)
          : honest(offset, length)
      for (const span of [0, 1]) yield* spans.ensure(inSpan(spans.table, span), 1)
      assert.strictEqual(observed.active, 1)
      yield* spans.ensure(inSpan(spans.table, 12), 1)
      assert.strictEqual(observed.interrupted, 1)
      assert.isTrue(isPresent(spans.table, 1))
      assert.isFalse(isPresent(spans.table, 2))
    }).pipe(Effect.provide(storeWith({ requestsPerLayer: 1 })), Effect.scoped)
  )

  it.effect("passes a bug in the inflater on to those who wait, and stays usable", () => {
    let crashes = 1
    const crashing = Layer.effect(
      Inflate,
      Effect.map(Inflate, (inflate) =>
        Inflate.of({
          implementation: inflate.implementation,
          inflate: (request) => (crashes-- > 0 ? Effect.die(new Error("bug")) : inflate.inflate(request))
        })
      )
    ).pipe(Layer.provide(InflateZlib.layer))
    return Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const store = yield* Layer.build(SpanStoreFile.layer({ directory }).pipe(Layer.provide(crashing)))
      const observed = observedBlob(sample.bytes)
      const spans = yield* Effect.provide(open(openingOf(sample, observed)), store)
      const exit = yield* Effect.exit(spans.ensure(0, 1))
      assert.isTrue(Exit.hasDies(exit))
      yield* spans.ensure(0, 1)
    })
  })

  it.effect("counts bytes, spans and mismatches", () =>
    Effect.gen(function* () {
      const observed = observedBlob(sample.bytes)
      const spans = yield* open(openingOf(sample, observed))
      const honest = observed.respond
      observed.respond = (offset, length) => {
        observed.respond = honest
        return Stream.map(honest(offset, length), (chunk) => chunk.map((byte) => byte ^ 1))
      }
      yield* spans.ensure(0, 1)
      const metrics = yield* Metric.snapshot
      const count = (id: string) => metrics.find((metric) => metric.id === id)?.state
      assert.deepInclude(count("span_digest_mismatches"), { count: 1 })
      assert.deepInclude(count("spans_local"), { count: 1 })
      assert.deepInclude(count("span_fetched_bytes"), { count: (yield* spans.stats).fetchedBytes })
    }).pipe(Effect.provide(quiet), Effect.provideService(Metric.MetricRegistry, new Map()), Effect.scoped)
  )

  it.effect("keeps its directory to itself and removes what dead processes left", () =>
    Effect.gen(function* () {
      const directory = join(yield* temporaryDirectory, "spans")
      mkdirSync(join(directory, "999999999.1-0123456789ab-xyz"), { recursive: true })
      mkdirSync(join(directory, `${process.pid}.1-0123456789ab-xyz`))
      mkdirSync(join(directory, "something-else"))
      rmSync(join(directory, "something-else"), { recursive: true })
      yield* Layer.build(SpanStoreFile.layer({ directory }).pipe(Layer.provide(InflateZlib.layer)))
      assert.deepStrictEqual(readdirSync(directory), [])
      const fresh = join(directory, "fresh")
      yield* Layer.build(SpanStoreFile.layer({ directory: fresh }).pipe(Layer.provide(InflateZlib.layer)))
      assert.strictEqual(statSync(fresh).mode & 0o777, 0o700)
    })
  )

  it.effect("fails to open a layer when its file cannot be made", () =>
    Effect.gen(function* () {
      const directory = join(yield* temporaryDirectory, "gone")
      const store = yield* Layer.build(SpanStoreFile.layer({ directory }).pipe(Layer.provide(InflateZlib.layer)))
      rmSync(directory, { recursive: true })
      const error = yield* open(openingOf(sample, observedBlob(sample.bytes))).pipe(Effect.provide(store), Effect.flip)
      assert.strictEqual(error._tag, "SpanStoreFailed")
    })
  )
})

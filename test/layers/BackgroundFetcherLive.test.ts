/**
 * Filling layers while nobody waits.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as BackgroundFetcherLive from "../../src/layers/BackgroundFetcherLive.ts"
import * as InflateZlib from "../../src/layers/InflateZlib.ts"
import * as SpanStoreFile from "../../src/layers/SpanStoreFile.ts"
import { BackgroundFetcher } from "../../src/services/BackgroundFetcher.ts"
import { BlobReadFailed } from "../../src/services/RemoteBlob.ts"
import { type LayerSpans, SpanStore } from "../../src/services/SpanStore.ts"
import { isPresent } from "../../src/streams/spanTable.ts"
import { layerOf, layerOfSize, observedBlob, openingOf, prose, tarOf } from "../support/lazyLayer.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const sample = layerOfSize(1_500_000)
const other = layerOf(tarOf({ other: prose(300_000, 7) }), { spanSize: 65_536 })
const spansOfSample = sample.ztoc.spanDigests.length

const services = (options: BackgroundFetcherLive.BackgroundFetchOptions = {}) =>
  BackgroundFetcherLive.layer({ fetchBytes: 100_000, fetchPeriod: 0, ...options }).pipe(
    Layer.provideMerge(
      Layer.unwrap(Effect.map(temporaryDirectory, (directory) => SpanStoreFile.layer({ directory, readAheadBytes: 0 })))
    ),
    Layer.provide(InflateZlib.layer)
  )

const open = Effect.fnUntraced(function* (lazy = sample) {
  const observed = observedBlob(lazy.bytes)
  const spans = yield* SpanStore.use((store) => store.open(openingOf(lazy, observed)))
  observed.reads.length = 0
  return { observed, spans, honest: observed.respond }
})

const add = (spans: LayerSpans) => BackgroundFetcher.use((fetcher) => fetcher.add(spans))

const localSpans = (spans: LayerSpans) => Effect.map(spans.stats, ({ spansLocal }) => spansLocal)

/** Real work is waited for; the clock stands still meanwhile. */
const until = (condition: Effect.Effect<boolean>): Effect.Effect<void> =>
  Effect.flatMap(condition, (holds) =>
    holds ? Effect.void : Effect.andThen(TestClock.withLive(Effect.sleep("2 millis")), until(condition))
  )

const untilLocal = (spans: LayerSpans, count: number) => until(Effect.map(localSpans(spans), (local) => local >= count))

/** Long enough for a fetch to begin, if it would. */
const aWhile = TestClock.withLive(Effect.sleep("50 millis"))

const down = (offset: number, length: number) =>
  Stream.fail(new BlobReadFailed({ blob: "test/blob", offset, length, reason: "the network is down" }))

describe("BackgroundFetcherLive", () => {
  it.effect("makes a layer complete, in small requests, and then asks for nothing", () =>
    Effect.gen(function* () {
      const { spans, observed } = yield* open()
      yield* add(spans)
      yield* untilLocal(spans, spansOfSample)
      const requests = observed.reads.length
      assert.isAbove(requests, 5)
      yield* aWhile
      assert.strictEqual(observed.reads.length, requests)
    }).pipe(Effect.provide(services()), Effect.scoped)
  )

  it.effect("begins behind what was read last", () =>
    Effect.gen(function* () {
      const { spans, observed } = yield* open()
      yield* spans.ensure(spans.table.starts[8] ?? 0, 1)
      const blocked = observed.reads.length
      observed.respond = () => Stream.never
      yield* add(spans)
      yield* until(Effect.sync(() => observed.reads.length > blocked))
      const [read, filled] = observed.reads
      const readEnd = (read?.offset ?? 0) + (read?.length ?? 0)
      // Neighbours may share a byte.
      assert.include([readEnd - 1, readEnd], filled?.offset)
    }).pipe(Effect.provide(services()), Effect.scoped)
  )

  it.effect("gives way to a read of any layer at once, keeps what came, and goes on afterwards", () =>
    Effect.gen(function* () {
      const filled = yield* open()
      const read = yield* open(other)
      const gate = yield* Deferred.make<void>()
      filled.observed.respond = (offset, length) =>
        Stream.concat(filled.honest(offset, Math.floor((length * 2) / 3)), Stream.never)
      yield* add(filled.spans)
      yield* untilLocal(filled.spans, 1)
      read.observed.respond = (offset, length) =>
        Stream.unwrap(Effect.as(Deferred.await(gate), read.honest(offset, length)))
      const reader = yield* Effect.forkChild(read.spans.read(0, 100))
      yield* until(Effect.sync(() => filled.observed.interrupted === 1))
      filled.observed.respond = filled.honest
      const requests = filled.observed.reads.length
      yield* aWhile
      assert.strictEqual(filled.observed.reads.length, requests)
      assert.isTrue(isPresent(filled.spans.table, 0))
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(reader)
      yield* untilLocal(filled.spans, spansOfSample)
    }).pipe(Effect.provide(services()), Effect.scoped)
  )

  it.effect("tries again, later each time, and never gives a layer up", () =>
    Effect.gen(function* () {
      const { spans, observed, honest } = yield* open()
      observed.respond = down
      yield* add(spans)
      let attempts = 1
      yield* until(Effect.sync(() => observed.reads.length === attempts))
      for (const seconds of [2, 4, 8, 400, 400]) {
        yield* aWhile
        assert.strictEqual(observed.reads.length, attempts)
        yield* TestClock.adjust(`${seconds} seconds`)
        attempts++
        yield* until(Effect.sync(() => observed.reads.length >= attempts))
        attempts = observed.reads.length
      }
      observed.respond = honest
      yield* TestClock.adjust("6 minutes")
      yield* untilLocal(spans, spansOfSample)
    }).pipe(Effect.provide(services()), Effect.scoped)
  )

  it.effect("steps back for the silence period after a pause", () =>
    Effect.gen(function* () {
      const { spans, observed } = yield* open()
      yield* BackgroundFetcher.use(({ pause }) => pause)
      yield* TestClock.adjust("10 seconds")
      yield* BackgroundFetcher.use(({ pause }) => pause)
      yield* add(spans)
      yield* TestClock.adjust("29 seconds")
      yield* aWhile
      assert.strictEqual(observed.reads.length, 0)
      yield* TestClock.adjust("1 seconds")
      yield* untilLocal(spans, spansOfSample)
    }).pipe(Effect.provide(services()), Effect.scoped)
  )

  it.effect("waits the period between two fetches of a layer", () =>
    Effect.gen(function* () {
      const { spans, observed } = yield* open()
      yield* add(spans)
      yield* until(Effect.sync(() => observed.reads.length === 1))
      yield* aWhile
      assert.strictEqual(observed.reads.length, 1)
      yield* TestClock.adjust("500 millis")
      yield* until(Effect.sync(() => observed.reads.length === 2))
    }).pipe(Effect.provide(services({ fetchPeriod: "500 millis" })), Effect.scoped)
  )

  it.effect("leaves a layer alone once its scope has ended", () =>
    Effect.gen(function* () {
      const { spans, observed } = yield* open()
      observed.respond = () => Stream.never
      const scope = yield* Scope.make()
      yield* Scope.provide(add(spans), scope)
      yield* until(Effect.sync(() => observed.reads.length === 1))
      yield* Scope.close(scope, Exit.void)
      yield* until(Effect.sync(() => observed.interrupted === 1))
      yield* aWhile
      assert.strictEqual(observed.reads.length, 1)
    }).pipe(Effect.provide(services()), Effect.scoped)
  )

  for (const [dropPolicy, kept] of [
    ["newest", 0],
    ["oldest", 1]
  ] as const) {
    it.effect(`drops the ${dropPolicy} layer where one too many waits`, () =>
      Effect.gen(function* () {
        const opened = [yield* open(), yield* open(other)]
        for (const { observed } of opened) observed.respond = () => Stream.never
        for (const { spans } of opened) yield* add(spans)
        yield* aWhile
        const active = opened.map(({ observed }) => observed.active)
        assert.deepStrictEqual(active, kept === 0 ? [1, 0] : [0, 1])
      }).pipe(Effect.provide(services({ maxQueueSize: 1, dropPolicy })), Effect.scoped)
    )
  }

  it.effect("does nothing where it is disabled", () =>
    Effect.gen(function* () {
      const { spans, observed } = yield* open()
      yield* add(spans)
      yield* aWhile
      assert.strictEqual(observed.reads.length, 0)
    }).pipe(Effect.provide(services({ disable: true })), Effect.scoped)
  )
})

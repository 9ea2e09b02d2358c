import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import type { Span } from "../../src/services/Ztoc.ts"
import { splitSpans } from "../../src/streams/splitSpans.ts"
import { digestOf } from "../../src/streams/verify.ts"
import { chunked, noise } from "../support/content.ts"
import { spansOfSizes } from "../support/spans.ts"

const Size = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 }))
const ChunkSize = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 }))

/** Each span but the first begins with the last byte of the one before it, where `shared` says so. */
const overlapping = (spans: ReadonlyArray<Span>, shared: ReadonlyArray<boolean>): ReadonlyArray<Span> =>
  spans.map((span, i) => ({ ...span, compressedStart: span.compressedStart - (i > 0 && shared[i % 5] ? 1 : 0) }))

describe("splitSpans", () => {
  it.effect.prop(
    "gives each span its own bytes and their digest, however they are chunked and overlap",
    [Schema.NonEmptyArray(Size), ChunkSize, Schema.Array(Schema.Boolean)],
    ([sizes, chunkSize, shared]) =>
      Effect.gen(function* () {
        const from = 1000
        const spans = overlapping(spansOfSizes([from, ...sizes]), shared).slice(1)
        const [start = 0, end = 0] = [spans[0]?.compressedStart, spans.at(-1)?.compressedEnd]
        const blob = noise(end + 10)
        const split = yield* Stream.runCollect(chunked(blob.subarray(start), chunkSize).pipe(splitSpans(spans)))
        assert.deepStrictEqual(
          split.map(({ span, bytes, digest }) => ({ id: span.id, bytes, digest })),
          spans.map(({ id, compressedStart, compressedEnd }) => {
            const bytes = blob.slice(compressedStart, compressedEnd)
            return { id, bytes, digest: digestOf(bytes) }
          })
        )
      })
  )

  it.effect("leaves out spans whose bytes do not all come", () =>
    Effect.gen(function* () {
      const spans = spansOfSizes([10, 10, 10])
      const split = yield* Stream.runCollect(chunked(noise(29), 7).pipe(splitSpans(spans)))
      assert.deepStrictEqual(
        split.map(({ span }) => span.id),
        [0, 1]
      )
    })
  )

  it.effect("gives a span as soon as its last byte is there", () =>
    Effect.gen(function* () {
      const bytes = Stream.concat(chunked(noise(10), 5), Stream.die("no more is needed"))
      const split = yield* bytes.pipe(splitSpans(spansOfSizes([10, 10])), Stream.take(1), Stream.runCollect)
      assert.strictEqual(split.length, 1)
    })
  )
})

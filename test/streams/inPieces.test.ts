import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { inPieces } from "../../src/streams/inPieces.ts"
import { chunked, noise } from "../support/content.ts"

const content = noise(10_000)

const piecesOf = (chunkBytes: number) =>
  Stream.runCollect(chunked(content, chunkBytes).pipe(inPieces({ atLeast: 300, atMost: 1_000 })))

describe("inPieces", () => {
  for (const chunkBytes of [1, 7, 299, 300, 301, 999, 1_000, 1_001, 2_500, 10_000]) {
    it.effect(`gives the same bytes in pieces of the right sizes, from chunks of ${chunkBytes}`, () =>
      Effect.gen(function* () {
        const pieces = yield* piecesOf(chunkBytes)
        assert.deepStrictEqual(Buffer.concat(pieces), Buffer.from(content))
        assert.isTrue(pieces.every(({ length }) => length > 0 && length <= 1_000))
        if (chunkBytes < 300) assert.isTrue(pieces.slice(0, -1).every(({ length }) => length >= 300))
      })
    )
  }

  it.effect("gives nothing of nothing", () =>
    Effect.gen(function* () {
      const empty = Stream.make(new Uint8Array(0)).pipe(inPieces({ atLeast: 1, atMost: 1 }))
      assert.deepStrictEqual(yield* Stream.runCollect(empty), [])
    })
  )
})

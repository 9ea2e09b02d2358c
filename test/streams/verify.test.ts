import { assert, describe, it } from "@effect/vitest"
import { Bytes, Effect, Result, Schema, Stream } from "effect"
import { verify, verifyBytes } from "../../src/streams/verify.ts"
import { chunked, descriptorOf, noise } from "../support/content.ts"

const ChunkSize = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 64 }))

describe("verify", () => {
  it.effect.prop(
    "passes the content through, however it is chunked",
    [Schema.Uint8Array, ChunkSize],
    ([content, size]) =>
      Effect.gen(function* () {
        const chunks = yield* chunked(content, size).pipe(verify(descriptorOf(content), "it"), Stream.runCollect)
        assert.deepStrictEqual(Bytes.concat(chunks), content)
      })
  )

  it.effect("fails when content is missing", () =>
    Effect.gen(function* () {
      const content = noise(100)
      const error = yield* chunked(content.subarray(0, 99), 10).pipe(
        verify(descriptorOf(content), "layer x"),
        Stream.runDrain,
        Effect.flip
      )
      assert.strictEqual(error.actualSize, 99)
      assert.include(error.message, "layer x: expected sha256:")
    })
  )

  it.effect("fails when the content is another of the same size", () =>
    Effect.gen(function* () {
      const error = yield* chunked(noise(100, 2), 10).pipe(
        verify(descriptorOf(noise(100)), "it"),
        Stream.runDrain,
        Effect.flip
      )
      assert.strictEqual(error.actualDigest, descriptorOf(noise(100, 2)).digest)
    })
  )

  it.effect("fails at the first byte too many, and reads no further", () =>
    Effect.gen(function* () {
      const content = noise(100)
      let pulled = 0
      let passed = 0
      const error = yield* chunked(content, 10).pipe(
        Stream.tap(() => Effect.sync(() => pulled++)),
        verify({ ...descriptorOf(content), size: 50 }, "it"),
        Stream.runForEach((chunk) => Effect.sync(() => (passed += chunk.length))),
        Effect.flip
      )
      assert.strictEqual(error._tag, "ContentMismatch")
      assert.strictEqual(pulled, 6)
      assert.strictEqual(passed, 50)
    })
  )

  it("judges bytes in memory by the same measure", () => {
    const content = noise(10)
    assert.isTrue(Result.isSuccess(verifyBytes(content, descriptorOf(content), "it")))
    assert.isTrue(Result.isFailure(verifyBytes(content.subarray(1), descriptorOf(content), "it")))
    assert.isTrue(Result.isFailure(verifyBytes(noise(10, 2), descriptorOf(content), "it")))
  })
})

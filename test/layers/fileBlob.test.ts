/**
 * Ranges of local files.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { createHash, randomBytes } from "node:crypto"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { readRange, readRangeReusing } from "../../src/layers/fileBlob.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const size = 5 * 1024 * 1024 + 7

const fileOf = (bytes: Uint8Array) =>
  Effect.gen(function* () {
    const file = path.join(yield* temporaryDirectory, "blob")
    yield* Effect.promise(() => fs.writeFile(file, bytes))
    return yield* Effect.acquireRelease(
      Effect.promise(() => fs.open(file)),
      (handle) => Effect.promise(() => handle.close())
    )
  })

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

describe("ranges of a file", () => {
  it.effect("are exactly the bytes asked for, wherever they begin and however many they are", () =>
    Effect.gen(function* () {
      const bytes = randomBytes(size)
      const handle = yield* fileOf(bytes)
      for (const [offset, length] of [
        [0, size],
        [1, 0],
        [262_143, 262_145],
        [3, 4 * 1024 * 1024 + 1],
        [size - 1, 1]
      ] as const) {
        const chunks = yield* Stream.runCollect(readRange(handle, offset, length, String))
        assert.isTrue(Buffer.concat(chunks).equals(bytes.subarray(offset, offset + length)))
      }
    })
  )

  it.effect("of a span's size come in one piece, longer ones in small ones", () =>
    Effect.gen(function* () {
      const handle = yield* fileOf(randomBytes(size))
      const span = yield* Stream.runCollect(readRange(handle, 9, 4 * 1024 * 1024, String))
      assert.deepStrictEqual(
        span.map(({ length }) => length),
        [4 * 1024 * 1024]
      )
      const whole = yield* Stream.runCollect(readRange(handle, 0, size, String))
      assert.isAtMost(Math.max(...whole.map(({ length }) => length)), 256 * 1024)
    })
  )

  it.effect("are less where the file ends", () =>
    Effect.gen(function* () {
      const handle = yield* fileOf(Buffer.from("short"))
      const chunks = yield* Stream.runCollect(readRange(handle, 2, 100, String))
      assert.strictEqual(Buffer.concat(chunks).toString(), "ort")
    })
  )

  it.effect("can be read through one buffer by who is done with each chunk before the next", () =>
    Effect.gen(function* () {
      const bytes = randomBytes(size)
      const handle = yield* fileOf(bytes)
      const hash = createHash("sha256")
      const buffers = new Set<ArrayBufferLike>()
      yield* Stream.runForEach(readRangeReusing(handle, 0, size, String), (chunk) =>
        Effect.sync(() => {
          hash.update(chunk)
          buffers.add(chunk.buffer)
        })
      )
      assert.strictEqual(hash.digest("hex"), sha256(bytes))
      assert.strictEqual(buffers.size, 1)
    })
  )
})

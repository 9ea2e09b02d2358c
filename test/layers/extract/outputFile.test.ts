import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { writeOutputFile } from "../../../src/layers/extract/outputFile.ts"
import { chunked, noise } from "../../support/content.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const listed = (directory: string) => Effect.promise(() => fs.readdir(directory))
const read = (file: string) => Effect.promise(() => fs.readFile(file))

describe("writeOutputFile", () => {
  it.live("replaces a file once all of it is written", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const file = path.join(directory, "out")
      const bytes = noise(300_000)
      for (const content of [bytes.subarray(1), bytes]) yield* writeOutputFile(file, chunked(content, 65_536))
      assert.isTrue((yield* read(file)).equals(bytes))
      assert.deepStrictEqual(yield* listed(directory), ["out"])
    })
  )

  it.live("leaves what was there when its content fails or it is interrupted", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const file = path.join(directory, "out")
      yield* writeOutputFile(file, Stream.succeed(Buffer.from("before")))
      const failing = Stream.concat(Stream.succeed(noise(10)), Stream.fail("broken"))
      assert.strictEqual(yield* Effect.flip(writeOutputFile(file, failing)), "broken")
      const written = yield* Deferred.make<void>()
      const hanging = Stream.concat(
        Stream.succeed(noise(10)),
        Stream.fromEffect(Effect.andThen(Deferred.succeed(written, undefined), Effect.never))
      )
      const fiber = yield* Effect.forkChild(writeOutputFile(file, hanging))
      yield* Deferred.await(written)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* read(file)).toString(), "before")
      assert.deepStrictEqual(yield* listed(directory), ["out"])
    })
  )

  it.live("says where it cannot write", () =>
    Effect.gen(function* () {
      const file = path.join(yield* temporaryDirectory, "missing", "out")
      const error = yield* Effect.flip(writeOutputFile(file, Stream.empty))
      assert.include(error.message, `cannot write ${file}: ENOENT`)
    })
  )
})

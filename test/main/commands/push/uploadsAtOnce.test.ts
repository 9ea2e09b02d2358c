/**
 * How many uploads a user may ask for.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { uploadsAtOnce } from "../../../../src/main/commands/push/uploadsAtOnce.ts"

describe("uploads at the same time", () => {
  it.effect("are three by default, as many as asked for, and never more than 1024", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* Effect.forEach([0n, 1n, 7n, 1024n, 1025n, 2n ** 63n - 1n], uploadsAtOnce),
        [3, 1, 7, 1024, 1024, 1024]
      )
    })
  )
})

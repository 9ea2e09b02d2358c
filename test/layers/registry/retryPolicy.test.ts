import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { ExchangeFailed } from "../../../src/layers/registry/exchangeFailed.ts"
import { settingsOf } from "../../../src/layers/registry/registryOptions.ts"
import { parseRetryAfter, pause } from "../../../src/layers/registry/retryPolicy.ts"

describe("Retry-After", () => {
  const now = Date.parse("2026-01-01T00:00:00Z")

  for (const [value, expected] of [
    ["5", 5000],
    [" 120 ", 120_000],
    ["Thu, 01 Jan 2026 00:00:07 GMT", 7000],
    ["Wed, 31 Dec 2025 23:59:59 GMT", 0],
    ["0", 0],
    ["-5", undefined],
    ["soon", undefined],
    ["9".repeat(400), undefined],
    [undefined, undefined]
  ] as const) {
    it(`is read: ${value?.slice(0, 40)}`, () => {
      assert.strictEqual(parseRetryAfter(value, now), expected)
    })
  }
})

describe("the wait before a repetition", () => {
  const settings = settingsOf({ retryMinDelay: 100, retryMaxDelay: 10_000 })

  /** How long it is, in milliseconds. */
  const waited = Effect.fnUntraced(function* (repetition: number, retryAfterMillis?: number) {
    const failure = new ExchangeFailed({
      reason: "busy",
      transient: true,
      ...(retryAfterMillis === undefined ? {} : { retryAfterMillis })
    })
    const begun = yield* Clock.currentTimeMillis
    const pausing = yield* Effect.forkChild(
      Effect.andThen(pause(settings, repetition, failure), Clock.currentTimeMillis)
    )
    yield* TestClock.adjust("1 hour")
    return (yield* Fiber.join(pausing)) - begun
  })

  it.effect("is random, up to a limit that doubles, and up to the longest", () =>
    Effect.gen(function* () {
      for (const [repetition, most] of [
        [0, 100],
        [3, 800],
        [50, 10_000]
      ] as const) {
        const waits = yield* Effect.forEach(Array.from({ length: 40 }), () => waited(repetition))
        assert.isAtMost(Math.max(...waits), most)
        assert.isAbove(Math.max(...waits) - Math.min(...waits), most / 4)
      }
    })
  )

  it.effect("is what the server asked for, none if it said 0, and no longer than the longest", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* waited(5, 0), 0)
      const asked = yield* waited(0, 2000)
      assert.isAtLeast(asked, 2000)
      assert.isAtMost(asked, 2200)
      assert.isAtMost(yield* waited(0, 1e9), 11_000)
    })
  )
})

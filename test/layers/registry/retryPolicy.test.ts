import { assert, describe, it } from "@effect/vitest"
import { parseRetryAfter } from "../../../src/layers/registry/retryPolicy.ts"

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

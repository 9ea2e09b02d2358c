import { assert, describe, it } from "@effect/vitest"
import { formatAge } from "../../../src/streams/codec/age.ts"

describe("formatAge", () => {
  for (const [millis, text] of [
    [0, "0s ago"],
    [499, "0s ago"],
    [500, "1s ago"],
    [768_000, "12m48s ago"],
    [3_605_000, "1h0m5s ago"],
    [360_000_000, "100h0m0s ago"],
    [-5000, "-5s ago"]
  ] as const) {
    it(`rounds ${millis} ms to ${text}`, () => {
      assert.strictEqual(formatAge(new Date(1_700_000_000_000), 1_700_000_000_000 + millis), text)
    })
  }

  it("does not guess for Go's zero time", () => {
    assert.strictEqual(formatAge(new Date("0001-01-01T00:00:00Z"), 0), "n/a")
  })
})

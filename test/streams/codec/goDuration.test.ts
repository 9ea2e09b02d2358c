import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parseGoDuration } from "../../../src/streams/codec/goDuration.ts"

const second = 1_000_000_000n

describe("parseGoDuration", () => {
  for (const [text, nanoseconds] of [
    ["0", 0n],
    ["0s", 0n],
    ["10s", 10n * second],
    ["1m30s", 90n * second],
    ["1.5h", 5400n * second],
    ["-2m", -120n * second],
    ["+.5s", second / 2n],
    ["1.s", second],
    ["100µs", 100_000n],
    ["100us", 100_000n],
    ["1h2m3s4ms5us6ns", 3_723_004_005_006n],
    ["0.3333333333333333333333s", 333_333_333n]
  ] as const) {
    it(`reads ${text}`, () => assert.deepStrictEqual(parseGoDuration(text), Result.succeed(nanoseconds)))
  }

  for (const [text, reason] of [
    ["abc", 'time: invalid duration "abc"'],
    ["", 'time: invalid duration ""'],
    ["-", 'time: invalid duration "-"'],
    [".s", 'time: invalid duration ".s"'],
    ["10", 'time: missing unit in duration "10"'],
    ["1m30", 'time: missing unit in duration "1m30"'],
    ["10x", 'time: unknown unit "x" in duration "10x"'],
    ["3000000h", 'time: invalid duration "3000000h"']
  ] as const) {
    it(`refuses ${JSON.stringify(text)} as Go does`, () =>
      assert.deepStrictEqual(parseGoDuration(text), Result.fail(reason)))
  }
})

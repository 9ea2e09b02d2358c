import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parseGoInteger, parseGoUnsigned } from "../../../src/streams/codec/goInteger.ts"

const valueOf = (text: string) => Result.getOrElse(parseGoInteger(text), (reason) => reason)

describe("parseGoInteger", () => {
  for (const [text, value] of [
    ["0", 0n],
    ["-0", 0n],
    ["+7", 7n],
    ["4194304", 4_194_304n],
    ["9223372036854775807", 9_223_372_036_854_775_807n],
    ["-9223372036854775808", -9_223_372_036_854_775_808n],
    ["0x10", 16n],
    ["0B1_01", 5n],
    ["0o17", 15n],
    ["017", 15n],
    ["1_000", 1000n]
  ] as const) {
    it(`reads ${text}`, () => assert.strictEqual(valueOf(text), value))
  }

  for (const text of ["abc", "", "-", "1.5", "1e3", "08", "1__0", "_1", "1_", "0x", " 1", "١"]) {
    it(`refuses ${JSON.stringify(text)} as Go does`, () =>
      assert.strictEqual(valueOf(text), `strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`))
  }

  for (const text of ["9223372036854775808", "-9223372036854775809"]) {
    it(`refuses ${text}, which 64 bits do not hold`, () =>
      assert.strictEqual(valueOf(text), `strconv.ParseInt: parsing "${text}": value out of range`))
  }
})

describe("parseGoUnsigned", () => {
  it("reads up to 64 bits and takes no sign", () => {
    assert.deepStrictEqual(parseGoUnsigned("18446744073709551615"), Result.succeed(18_446_744_073_709_551_615n))
    assert.deepStrictEqual(parseGoUnsigned("-1"), Result.fail('strconv.ParseUint: parsing "-1": invalid syntax'))
    assert.deepStrictEqual(
      parseGoUnsigned("18446744073709551616"),
      Result.fail('strconv.ParseUint: parsing "18446744073709551616": value out of range')
    )
  })
})

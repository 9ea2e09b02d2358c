import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parseDigestText } from "../../../src/streams/codec/digestText.ts"

const hex = "0123456789abcdef".repeat(8)

describe("parseDigestText", () => {
  for (const [text, reason] of [
    ["", "invalid checksum digest format"],
    ["foo", "invalid checksum digest format"],
    ["sha256:", "invalid checksum digest format"],
    [":00", "invalid checksum digest format"],
    ["md5:00!", "invalid checksum digest format"],
    [`sha256:${hex.slice(0, 63)}G`, "invalid checksum digest format"],
    ["sha256:00", "invalid checksum digest length"],
    ["md5:00", "unsupported digest algorithm"],
    [`sha512:${hex}`, `couldn't retrieve artifact for sha512:${hex}, not found`]
  ] as const) {
    it(`refuses "${text}"`, () => {
      assert.deepStrictEqual(parseDigestText(text), Result.fail(reason))
    })
  }

  it("takes a sha256 digest", () => {
    assert.isTrue(Result.isSuccess(parseDigestText(`sha256:${hex.slice(0, 64)}`)))
  })
})

import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { indentJson } from "../../../src/streams/codec/indentJson.ts"

describe("indentJson", () => {
  it("lays out as Go does, and keeps every token as it is spelt", () => {
    const text = '{"a":{},"b":[], "c" : [1.50e1,"\\u003cx{,:\\"\\\\",null],"d":{"e":true}}\n'
    assert.deepStrictEqual(
      indentJson(text),
      Result.succeed(
        '{\n  "a": {},\n  "b": [],\n  "c": [\n    1.50e1,\n    "\\u003cx{,:\\"\\\\",\n    null\n  ],\n  "d": {\n    "e": true\n  }\n}'
      )
    )
  })

  it.each([{}, [], [1, [2, { a: [] }]], { "": { "": "\u2028" } }, 1, "x", null])(
    "agrees with JSON.stringify where that has a choice: %j",
    (value) => {
      assert.deepStrictEqual(indentJson(JSON.stringify(value)), Result.succeed(JSON.stringify(value, null, 2)))
    }
  )

  it("refuses what is no JSON", () => {
    assert.isTrue(Result.isFailure(indentJson('{"a":}')))
  })
})

import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { canonicalJson, compareUtf8 } from "../../../src/streams/codec/canonicalJson.ts"

describe("canonicalJson", () => {
  it("writes the members of a structure in the order they were given", () => {
    assert.strictEqual(canonicalJson({ b: 1, a: [true, null, "x"], c: undefined }), '{"b":1,"a":[true,null,"x"]}')
  })

  it("writes the keys of a map in the order of their bytes", () => {
    const keys = new Map(["\u{1f600}", "\uffff", "z", "", "za"].map((key) => [key, 0]))
    assert.strictEqual(canonicalJson(keys), '{"":0,"z":0,"za":0,"\uffff":0,"\u{1f600}":0}')
  })

  it("escapes what HTML and JavaScript would take for their own", () => {
    assert.strictEqual(canonicalJson("<&>\u2028\u2029\u0000/'"), '"\\u003c\\u0026\\u003e\\u2028\\u2029\\u0000/\'"')
  })

  it("writes unpaired surrogates as the replacement character", () => {
    assert.strictEqual(canonicalJson("a\ud800b"), '"a\ufffdb"')
  })

  it.prop("writes text that reads back as it was", [Schema.String], ([text]) => {
    assert.strictEqual(JSON.parse(canonicalJson(text)), text.toWellFormed())
  })

  it.prop("orders text as its bytes are ordered", [Schema.String, Schema.String], ([left, right]) => {
    const [a, b] = [left.toWellFormed(), right.toWellFormed()]
    assert.strictEqual(Math.sign(compareUtf8(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b)))
  })
})

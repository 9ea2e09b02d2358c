import { assert, describe, it } from "@effect/vitest"
import { goJsonText } from "../../../src/streams/codec/goText.ts"

const bytes = (...values: ReadonlyArray<number>) => String.fromCharCode(...values)
const utf8 = (text: string) => Buffer.from(text).toString("latin1")

describe("goJsonText", () => {
  it("writes UTF-8 as it is and escapes what Go escapes", () => {
    assert.strictEqual(goJsonText(utf8("Größe/日本/😀")), '"Größe/日本/😀"')
    assert.strictEqual(goJsonText('<a>&"\\\n\u0001'), '"\\u003ca\\u003e\\u0026\\"\\\\\\n\\u0001"')
    assert.strictEqual(goJsonText(utf8("\u2028\ufffd")), '"\\u2028\ufffd"')
    assert.strictEqual(goJsonText(""), '""')
  })

  it("replaces each byte that is no UTF-8", () => {
    assert.strictEqual(goJsonText(bytes(0x61, 0xff, 0x62)), '"a\\ufffdb"')
    assert.strictEqual(goJsonText(bytes(0xe2, 0x82)), '"\\ufffd\\ufffd"')
    assert.strictEqual(goJsonText(bytes(0xed, 0xa0, 0x80)), '"\\ufffd\\ufffd\\ufffd"')
    assert.strictEqual(goJsonText(bytes(0xc0, 0x80, 0xf4, 0x90)), '"\\ufffd\\ufffd\\ufffd\\ufffd"')
  })
})

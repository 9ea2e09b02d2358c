import { assert, describe, it } from "@effect/vitest"
import { canInflateTo, wantedSpans } from "../../src/streams/extractRange.ts"
import { spansOfSizes } from "../support/spans.ts"

const spans = spansOfSizes([10, 20, 30])
const wanted = (start: number, end: number) =>
  wantedSpans(spans, start, end).map(({ span, from, to }) => [span.id, from, to])

describe("wantedSpans", () => {
  it("names the spans with a byte of the range, and the part of each", () => {
    assert.deepStrictEqual(wanted(5, 35), [
      [0, 5, 10],
      [1, 0, 20],
      [2, 0, 5]
    ])
  })

  it("leaves out the span that begins where the range ends", () => {
    assert.deepStrictEqual(wanted(10, 30), [[1, 0, 20]])
    assert.deepStrictEqual(wanted(0, 10), [[0, 0, 10]])
  })

  it("has nothing for an empty range, or one behind the end", () => {
    assert.deepStrictEqual(wanted(15, 15), [])
    assert.deepStrictEqual(wanted(60, 70), [])
    assert.deepStrictEqual(wantedSpans([], 0, 10), [])
  })
})

describe("canInflateTo", () => {
  it("knows the limit of deflate", () => {
    assert.isTrue(canInflateTo(1000, 1_032_000))
    assert.isFalse(canInflateTo(1000, 1_034_000))
  })
})

import { assert, describe, it } from "@effect/vitest"
import { joinNeighbours, maxSpansPerRequest, ReadAhead, runsOf } from "../../src/streams/spanPlan.ts"
import { spansOfSizes } from "../support/spans.ts"

const always = () => true

describe("joinNeighbours", () => {
  const spans = spansOfSizes([10, 10, 10, 100, 10, 10])

  it("joins as long as spans are wanted and fit", () => {
    assert.strictEqual(joinNeighbours(spans, 0, 30, always), 2)
    assert.strictEqual(joinNeighbours(spans, 0, 29, always), 1)
    assert.strictEqual(
      joinNeighbours(spans, 0, 1000, (span) => span !== 2),
      1
    )
    assert.strictEqual(joinNeighbours(spans, 4, 1000, always), 5)
  })

  it("lets a single span be larger than the limit", () => {
    assert.strictEqual(joinNeighbours(spans, 3, 30, always), 3)
  })

  it("bounds the number of spans", () => {
    const tiny = spansOfSizes(Array.from({ length: 3000 }, () => 1))
    assert.strictEqual(joinNeighbours(tiny, 5, 1e9, always), 5 + maxSpansPerRequest - 1)
  })
})

describe("runsOf", () => {
  it("joins what is next to each other", () => {
    assert.deepStrictEqual(runsOf([1, 2, 3, 5, 8, 9]), [
      { first: 1, last: 3 },
      { first: 5, last: 5 },
      { first: 8, last: 9 }
    ])
    assert.deepStrictEqual(runsOf([]), [])
  })
})

/** How far is read ahead at each miss of a reader that always misses next where nothing was read ahead. */
const windows = (readAhead: ReadAhead, misses: number) => {
  let span = 0
  return Array.from({ length: misses }, () => {
    const end = readAhead.wanted(span, span)
    const ahead = end - span - 1
    span = end
    return ahead
  })
}

describe("ReadAhead", () => {
  const spans = spansOfSizes(Array.from({ length: 1000 }, () => 10))

  it("doubles with each miss where it was expected, up to the limit of bytes", () => {
    assert.deepStrictEqual(windows(new ReadAhead(spans, 100), 7), [0, 1, 2, 4, 8, 10, 10])
  })

  it("reads nothing ahead when there is no room", () => {
    assert.deepStrictEqual(windows(new ReadAhead(spans, 0), 3), [0, 0, 0])
  })

  it("ends where the layer ends", () => {
    const few = new ReadAhead(spansOfSizes([10, 10, 10]), 1000)
    few.wanted(0, 0)
    assert.strictEqual(few.wanted(1, 1), 3)
    assert.strictEqual(few.wanted(2, 2), 3)
  })

  it("begins anew for a reader that jumps, and forgets nobody else for it", () => {
    const readAhead = new ReadAhead(spans, 1000)
    for (const span of [0, 1, 3]) readAhead.wanted(span, span)
    assert.strictEqual(readAhead.wanted(500, 500), 501)
    assert.strictEqual(readAhead.wanted(900, 900), 901)
    assert.strictEqual(readAhead.wanted(6, 6), 6 + 4 + 1)
  })

  it("does not take many readers of one span for one that goes on", () => {
    const readAhead = new ReadAhead(spans, 1000)
    for (let reader = 0; reader < 100; reader++) assert.strictEqual(readAhead.wanted(7, 7), 8)
  })

  it("knows when a reader is half through", () => {
    const readAhead = new ReadAhead(spans, 1000)
    for (const span of [0, 1, 3, 6]) readAhead.wanted(span, span)
    // Spans 7 to 10 are read ahead of a reader at 6.
    assert.deepStrictEqual(
      [5, 6, 7, 8, 9, 10, 11].filter((span) => readAhead.isHalfThrough(span)),
      [9, 10]
    )
  })
})

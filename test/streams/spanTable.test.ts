import { assert, describe, it } from "@effect/vitest"
import {
  areLocal,
  firstSpan,
  isLocal,
  isPresent,
  lastSpan,
  makeSpanTable,
  markPresent,
  spanAt,
  streamEnd,
  viewSpanTable
} from "../../src/streams/spanTable.ts"

describe("spanTable", () => {
  const starts = [0, 10, 11, 50, 100]
  const rangeOf = (offset: number, length: number) => {
    const table = makeSpanTable(starts)
    return [firstSpan(table, offset, length), lastSpan(table, offset, length)]
  }

  it("finds the span of each offset", () => {
    const table = makeSpanTable(starts)
    for (let offset = 0; offset < 100; offset++) {
      assert.strictEqual(
        spanAt(table, offset),
        starts.findLastIndex((start) => start <= offset)
      )
    }
    assert.strictEqual(streamEnd(table), 100)
  })

  it("takes the spans that hold a byte of the range, not the one that begins where it ends", () => {
    assert.deepStrictEqual(rangeOf(0, 10), [0, 0])
    assert.deepStrictEqual(rangeOf(0, 11), [0, 1])
    assert.deepStrictEqual(rangeOf(10, 1), [1, 1])
    assert.deepStrictEqual(rangeOf(49, 1000), [2, 3])
    assert.deepStrictEqual(rangeOf(-5, 6), [0, 0])
  })

  it("has no spans for ranges without a byte of the stream", () => {
    for (const [offset, length] of [
      [0, 0],
      [100, 1],
      [-5, 5],
      [7, -1]
    ] as const) {
      assert.deepStrictEqual(rangeOf(offset, length), [-1, -1])
    }
    assert.strictEqual(firstSpan(makeSpanTable([0]), 0, 1), -1)
  })

  it("passes over spans that have no byte", () => {
    const table = makeSpanTable([0, 10, 20, 20, 20])
    assert.strictEqual(spanAt(table, 19), 1)
    assert.strictEqual(lastSpan(table, 0, 100), 1)
  })

  it("keeps bits apart and shows them through the buffer", () => {
    const table = makeSpanTable(Array.from({ length: 101 }, (_, i) => i))
    const present = [0, 31, 32, 63, 99]
    for (const span of present) markPresent(table, span)
    const other = viewSpanTable(table.buffer)
    assert.strictEqual(other.count, 100)
    assert.deepStrictEqual(
      Array.from({ length: 100 }, (_, i) => i).filter((span) => isPresent(other, span)),
      present
    )
    assert.isTrue(isLocal(other, 31, 2))
    assert.isFalse(isLocal(other, 31, 3))
    assert.isTrue(isLocal(other, 200, 3))
    assert.isTrue(areLocal(other, 99, 99))
  })
})

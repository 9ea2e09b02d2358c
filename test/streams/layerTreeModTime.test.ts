import { assert, describe, it } from "@effect/vitest"
import { parseModTime } from "../../src/streams/layerTreeModTime.ts"

const parsed = (text: string) => {
  const { seconds, nanoseconds } = parseModTime(text)
  return `${seconds}.${nanoseconds}`
}

describe("parseModTime", () => {
  it("reads seconds, fractions and offsets", () => {
    assert.strictEqual(parsed("2023-11-14T22:13:20Z"), "1700000000.0")
    assert.strictEqual(parsed("2023-11-14T22:13:20.000000001Z"), "1700000000.1")
    assert.strictEqual(parsed("2023-11-14T22:13:20.5Z"), "1700000000.500000000")
    assert.strictEqual(parsed("2023-11-14T17:13:20-05:00"), "1700000000.0")
    assert.strictEqual(parsed("2023-11-15T04:43:20+06:30"), "1700000000.0")
  })

  it("agrees with the calendar on every day it can give", () => {
    for (let day = 0; day < 106_751; day += 13) {
      const text = new Date(day * 86_400_000).toISOString().replace(/\.\d+/, "")
      assert.strictEqual(parseModTime(text).seconds, day * 86_400, text)
    }
  })

  it("takes what is no date for the epoch", () => {
    for (const text of [
      "",
      "yesterday",
      "2023-02-29T00:00:00Z",
      "2023-13-01T00:00:00Z",
      "2023-00-01T00:00:00Z",
      "2023-01-00T00:00:00Z",
      "2023-01-01T24:00:00Z",
      "2023-01-01T00:60:00Z",
      "2023-01-01t00:00:00z",
      "2023-01-01T00:00:00",
      "2023-01-01T00:00:00.Z",
      "2023-01-01T00:00:00+24:00",
      "12023-01-01T00:00:00Z"
    ]) {
      assert.strictEqual(parsed(text), "0.0", text)
    }
    assert.strictEqual(parsed("2024-02-29T00:00:00Z"), "1709164800.0")
  })

  it("takes times that containerd would not set for the epoch", () => {
    assert.strictEqual(parsed("0001-01-01T00:00:00Z"), "0.0")
    assert.strictEqual(parsed("1969-12-31T23:59:59.9Z"), "0.0")
    assert.strictEqual(parsed("2262-04-11T23:47:15Z"), "9223372035.0")
    assert.strictEqual(parsed("2262-04-11T23:47:16Z"), "0.0")
    assert.strictEqual(parsed("9999-12-31T23:59:59Z"), "0.0")
  })
})

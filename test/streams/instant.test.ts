import { assert, describe, it } from "@effect/vitest"
import { formatModTime } from "../../src/streams/codec/pax.ts"
import { parseInstant } from "../../src/streams/instant.ts"

const zero = "0001-01-01T00:00:00Z"

describe("parseInstant", () => {
  for (const [text, instant] of [
    ["2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z"],
    ["2023-11-15T00:13:20+02:00", "2023-11-14T22:13:20Z"],
    ["2023-11-14T17:13:20.125-05:00", "2023-11-14T22:13:20.125Z"],
    ["1969-12-31T23:59:59.9Z", "1969-12-31T23:59:59.9Z"],
    ["0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"],
    ["9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"],
    ["2024-02-29T00:00:00.1234567891Z", "2024-02-29T00:00:00.123456789Z"]
  ] as const) {
    it(`reads ${text}`, () => assert.strictEqual(formatModTime(parseInstant(text)), instant))
  }

  for (const text of [
    "",
    "yesterday",
    "2023-02-31T00:00:00Z",
    "2023-02-29T00:00:00Z",
    "2023-11-14T24:00:00Z",
    "2023-11-14T22:13:60Z",
    "2023-11-14t22:13:20z",
    "2023-11-14T22:13:20.Z",
    "2023-11-14T22:13:20",
    "2023-11-14T22:13:20+24:00"
  ]) {
    it(`takes "${text}" for no time`, () => assert.strictEqual(formatModTime(parseInstant(text)), zero))
  }
})

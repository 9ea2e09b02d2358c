import { assert, describe, it } from "@effect/vitest"
import { listTable } from "../../../src/main/commands/listTable.ts"

const digest = (start: string) => `sha256:${start}${"0".repeat(64 - start.length)}`

describe("listTable", () => {
  it("fills every cell to the longest of its column and four blanks, the last one too", () =>
    assert.strictEqual(
      listTable([
        ["DIGEST", "SIZE", "LAYER DIGEST"],
        [digest("7b"), "165632", digest("85")]
      ]),
      `DIGEST${" ".repeat(69)}SIZE      LAYER DIGEST${" ".repeat(63)}\n` +
        `${digest("7b")}    165632    ${digest("85")}    \n`
    ))

  it("makes no column narrower than eight characters", () =>
    assert.strictEqual(listTable([["A", "B"]]), "A       B       \n"))

  it("counts characters, not bytes", () =>
    assert.strictEqual(listTable([["äöü€𝄞"], ["123456"]]), "äöü€𝄞     \n123456    \n"))

  it("prints a header alone, and nothing for nothing", () => {
    assert.strictEqual(listTable([["DIGEST"]]), "DIGEST    \n")
    assert.strictEqual(listTable([]), "")
  })
})

import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import type { EntryType, TocEntry, Ztoc } from "../../src/services/Ztoc.ts"
import { encodeTarZinfo } from "../../src/streams/codec/zinfoWriter.ts"
import { cleanPrefetchPath, mergeSpanRanges, prefetchAnswers } from "../../src/streams/prefetchSpans.ts"
import { entry as entryOf } from "../support/tocEntries.ts"

const spanSize = 1000

const entry = (name: string, offset: number, size: number, type: EntryType = "reg"): TocEntry =>
  entryOf(Buffer.from(name, "utf8").toString("latin1"), type, { offset, size })

/** The ztoc of a layer that is not compressed: spans of equal size. */
const ztocOf = (...entries: ReadonlyArray<TocEntry>): Ztoc => ({
  version: "0.9",
  buildToolIdentifier: "test",
  compressedArchiveSize: 10_000,
  uncompressedArchiveSize: 10_000,
  entries,
  compressionAlgorithm: "uncompressed",
  maxSpanId: 9,
  spanDigests: Array.from({ length: 10 }, () => `sha256:${"0".repeat(64)}`),
  checkpoints: encodeTarZinfo({ version: 1, spanSize, size: 10_000 })
})

const answers = (paths: ReadonlyArray<string>, ...entries: ReadonlyArray<TocEntry>) =>
  Result.getOrThrow(prefetchAnswers(ztocOf(...entries), paths))

describe("the spans of files to prefetch", () => {
  it("are those of their first and last byte, and one for a file without bytes", () => {
    const found = answers(
      ["inside", "across", "to the border", "empty", "none"],
      entry("inside", 512, 100),
      entry("across", 1_900, 1_200),
      entry("to the border", 4_096, 904),
      entry("empty", 6_000, 0)
    )
    assert.deepStrictEqual(found, [
      { first: 0, last: 0 },
      { first: 1, last: 3 },
      { first: 4, last: 4 },
      { first: 6, last: 6 },
      undefined
    ])
  })

  it("are found whatever the archive writes in front of names, and in any language", () => {
    const found = answers(
      ["etc/a", "etc/b", "größe"],
      entry("./etc/a", 512, 1),
      entry("etc//b", 2_000, 1),
      entry("größe", 3_000, 1)
    )
    assert.deepStrictEqual(
      found.map((answer) => typeof answer === "object" && answer.first),
      [0, 2, 3]
    )
  })

  it("are those of the last entry of a name", () => {
    assert.deepStrictEqual(answers(["a"], entry("a", 512, 1), entry("a", 5_000, 1)), [{ first: 5, last: 5 }])
  })

  for (const [what, hiding] of [
    ["a whiteout", entry("opt/.wh.file", 512, 0)],
    ["a whiteout of a directory above", entry(".wh.opt", 512, 0)],
    ["an opaque directory", entry("opt/.wh..wh..opq", 512, 0)],
    ["an opaque root", entry(".wh..wh..opq", 512, 0)],
    ["a file in place of a directory", entry("opt", 512, 1)],
    ["a directory in place of the file", entry("opt/file/", 512, 0, "dir")]
  ] as const) {
    it(`are not looked for below ${what}`, () => {
      assert.deepStrictEqual(answers(["opt/file", "other"], hiding).slice(0, 1), ["hidden"])
    })
  }

  it("are looked for below a directory that is only there again, and below what hides others", () => {
    const hiding = [entry("opt/", 512, 0, "dir"), entry("opt/.wh.other", 1_024, 0), entry("srv/.wh..wh..opq", 1_536, 0)]
    assert.deepStrictEqual(answers(["opt/file"], ...hiding), [undefined])
  })

  it("are found in a layer that hides the file of a layer below", () => {
    const layer = [entry("opt/.wh..wh..opq", 512, 0), entry("opt/file", 1_024, 1)]
    assert.deepStrictEqual(answers(["opt/file"], ...layer), [{ first: 1, last: 1 }])
  })

  it("are refused with a ztoc that contradicts itself", () => {
    assert.isTrue(Result.isFailure(prefetchAnswers({ ...ztocOf(), maxSpanId: 3 }, ["a"])))
  })

  it("of one layer come in order, those that overlap or adjoin as one", () => {
    const ranges = [
      { first: 7, last: 8 },
      { first: 0, last: 2 },
      { first: 1, last: 1 },
      { first: 3, last: 3 },
      { first: 5, last: 5 }
    ]
    assert.deepStrictEqual(mergeSpanRanges(ranges), [
      { startSpan: 0, endSpan: 3, priority: 0 },
      { startSpan: 5, endSpan: 5, priority: 0 },
      { startSpan: 7, endSpan: 8, priority: 0 }
    ])
  })

  it("are asked for by clean paths", () => {
    const paths = ["/opt/big", "opt/../etc/first", "a//b/./c/", "../../x", "/", "."]
    assert.deepStrictEqual(paths.map(cleanPrefetchPath), ["opt/big", "etc/first", "a/b/c", "x", "", ""])
  })
})

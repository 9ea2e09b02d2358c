import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import type { TocEntry } from "../../src/services/Ztoc.ts"
import type { TarHeaderMismatch } from "../../src/services/ZtocReader.ts"
import { layoutEntries, type PlacedEntry } from "../../src/streams/codec/ztoc.ts"
import { HeaderChecks } from "../../src/streams/extractHeaders.ts"
import { checkHeaderLength, checkTarHeader, maxHeaderBytes } from "../../src/streams/tarHeaderCheck.ts"
import { layerOf } from "../support/lazyLayer.ts"
import { tarOf, type TarMember } from "../support/tarArchive.ts"

const placedOf = (entries: ReadonlyArray<TocEntry>) => Result.getOrThrow(layoutEntries(entries))

/** Members as the real builder lists them, each with its headers. */
const listed = (...members: ReadonlyArray<TarMember>) => {
  const stream = tarOf(...members)
  const { ztoc } = layerOf(new Uint8Array(stream), { spanSize: 1_000_000 })
  return placedOf(ztoc.entries).map((placed) => ({
    placed,
    header: stream.subarray(placed.headerOffset, placed.entry.offset)
  }))
}

const failureOf = (checked: Result.Result<unknown, TarHeaderMismatch>): TarHeaderMismatch | undefined =>
  Result.isFailure(checked) ? checked.failure : undefined

const sample: TarMember = {
  name: "dir/file",
  content: "content",
  uid: 1000,
  gid: 100,
  mode: 0o4755,
  pax: { "SCHILY.xattr.user.a": "1", comment: "anything", mtime: "1700000000.25" }
}

const [first] = listed(sample)
if (first === undefined) throw new Error("the sample has no entry")
const { placed, header } = first
const checkWith = (change: Partial<TocEntry>, bytes: Uint8Array = header) =>
  failureOf(checkTarHeader({ ...placed, entry: { ...placed.entry, ...change } }, bytes))

describe("checkTarHeader", () => {
  it("passes every kind of entry as the builder lists it", () => {
    const members: ReadonlyArray<TarMember> = [
      sample,
      { name: "d/", type: "5", mode: 0o41777 },
      { name: "l".repeat(150), content: "x" },
      { name: "link", type: "2", linkname: "t".repeat(150) },
      { name: "hard", type: "1", linkname: "dir/file" },
      { name: "null", type: "3", device: [1, 3] },
      { name: "disk", type: "4", device: [8, 1] },
      { name: "pipe", type: "6" },
      { name: "old", content: "x", pax: { mtime: "-1000000.5" } },
      { name: "far", content: "x", pax: { mtime: "999999999999999" } },
      { name: "big-owner", content: "x", pax: { uid: "4294967297" } }
    ]
    const all = listed(...members)
    assert.strictEqual(all.length, members.length)
    for (const { placed: one, header: bytes } of all) {
      assert.isUndefined(failureOf(checkTarHeader(one, bytes)), one.entry.name)
    }
  })

  for (const [field, change] of [
    ["size", { size: 8 }],
    ["mtime", { modTime: "2023-11-14T22:13:20Z" }],
    ["mtime", { modTime: "" }],
    ["linkname", { linkname: "elsewhere" }],
    ["mode", { mode: 0o755n }],
    ["type", { type: "symlink" }],
    ["uid", { uid: 0 }],
    ["gid", { gid: 101 }],
    ["devmajor", { devmajor: 1n }],
    ["devminor", { devminor: 1n }],
    ["xattrs", { pax: [] }],
    [
      "xattrs",
      {
        pax: [
          ["SCHILY.xattr.user.a", "1"],
          ["SCHILY.xattr.user.b", "2"]
        ]
      }
    ]
  ] as const) {
    it(`refuses another ${field}: ${Object.values(change).join()}`, () => {
      const failure = checkWith(change)
      assert.deepInclude({ ...failure }, { kind: "attributes", field })
      assert.include(failure?.message, "file attributes do not match tar header")
    })
  }

  it("compares neither names of owners nor other records, and times by their instant", () => {
    assert.isUndefined(checkWith({ uname: "root", gname: "root", pax: [["SCHILY.xattr.user.a", "1"]] }))
    assert.isUndefined(checkWith({ modTime: "2023-11-15T00:13:20.25+02:00" }))
    assert.isUndefined(checkWith({ mode: 0o104755n }))
  })

  it("refuses another name", () => {
    assert.include(checkWith({ name: "dir/FILE" })?.message, "file name does not match tar header")
  })

  it("refuses headers that are longer or shorter than the ztoc says", () => {
    const more = Buffer.concat([header, Buffer.alloc(512)])
    assert.include(
      checkWith({}, more)?.message,
      `incorrect tar header size: expected ${more.length}, actual ${header.length}`
    )
    assert.strictEqual(checkWith({}, header.subarray(0, header.length - 512))?.kind, "unreadable")
  })

  it("refuses what is no header at all", () => {
    const empty = failureOf(checkTarHeader({ entry: placed.entry, headerOffset: placed.entry.offset }, Buffer.alloc(0)))
    assert.include(empty?.message, `error reading tar header at ${placed.entry.offset}, size 0: EOF`)
    assert.strictEqual(checkWith({}, Buffer.alloc(1024))?.kind, "unreadable")
    assert.strictEqual(checkWith({}, Buffer.alloc(1024, 7))?.kind, "unreadable")
  })

  it("gives no memory to headers of any length", () => {
    const far = { ...placed, entry: { ...placed.entry, offset: placed.headerOffset + maxHeaderBytes + 512 } }
    assert.strictEqual(failureOf(checkHeaderLength(far))?.kind, "length")
    assert.isUndefined(failureOf(checkHeaderLength(placed)))
  })
})

describe("HeaderChecks", () => {
  const stream = tarOf(sample, { name: "b", content: "x".repeat(3000) }, { name: "empty" })
  const { ztoc } = layerOf(new Uint8Array(stream), { spanSize: 1_000_000 })
  const entries = placedOf(ztoc.entries)

  const checkAll = (chunkSize: number, of: ReadonlyArray<PlacedEntry>) => {
    const checks = new HeaderChecks(of)
    for (let at = 0; at < stream.length; at += chunkSize) {
      const failure = failureOf(checks.push(stream.subarray(at, at + chunkSize)))
      if (failure !== undefined) return failure
    }
    return failureOf(checks.end())
  }

  it("passes a good layer in chunks of any size", () => {
    for (const size of [1, 511, 512, 513, 4096, 1_000_000]) assert.isUndefined(checkAll(size, entries), `${size}`)
  })

  it("finds the first wrong header in chunks of any size", () => {
    const wrong = placedOf(ztoc.entries.map((entry) => (entry.name === "b" ? { ...entry, gid: 1 } : entry)))
    for (const size of [1, 513, 1_000_000])
      assert.deepInclude({ ...checkAll(size, wrong) }, { entry: "b", field: "gid" })
  })

  it("finds an entry behind the last one, and an end before it", () => {
    assert.deepInclude({ ...checkAll(700, entries.slice(0, 2)) }, { kind: "unlisted", entry: "empty" })
    const checks = new HeaderChecks(entries)
    checks.push(stream.subarray(0, 600))
    assert.include(failureOf(checks.end())?.message, "the stream ends before it")
  })
})

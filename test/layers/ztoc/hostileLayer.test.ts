/**
 * Layers and ztocs that were made to cost more than they are: each is refused, before the memory is taken.
 */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { gzipSync } from "node:zlib"
import { isScanFailure, startScan, type ScanOptions } from "../../../src/layers/ztoc/layerScan.ts"
import type { Ztoc } from "../../../src/services/Ztoc.ts"
import { ZtocLimits } from "../../../src/services/ZtocLimits.ts"
import { decodeTarZinfo, spansOf } from "../../../src/streams/codec/zinfo.ts"
import { encodeTarZinfo } from "../../../src/streams/codec/zinfoWriter.ts"
import { decodeZtoc, encodeZtoc } from "../../../src/streams/codec/ztoc.ts"
import { tarOf } from "../../support/tarArchive.ts"

const options: ScanOptions = { compression: "gzip", spanSize: 4 * 1024 * 1024, buildToolIdentifier: "test" }

const build = (chunks: Iterable<Uint8Array>, changed: Partial<ScanOptions> = {}) => {
  const scan = startScan({ ...options, ...changed })
  try {
    for (const chunk of chunks) {
      const failure = scan.push(chunk)
      if (failure !== undefined) return failure
    }
    return scan.end()
  } finally {
    scan.close()
  }
}

const repeat = function* (chunk: Uint8Array, times: number) {
  for (let i = 0; i < times; i++) yield chunk
}

const gzipHeader = Buffer.from("1f8b0800000000000003", "hex")
const emptyStoredBlock = Buffer.from("000000ffff", "hex")

const emptyZtoc: Ztoc = {
  version: "0.9",
  buildToolIdentifier: "",
  compressedArchiveSize: 1024,
  uncompressedArchiveSize: 1024,
  entries: [],
  compressionAlgorithm: "uncompressed",
  maxSpanId: 0,
  spanDigests: [`sha256:${"0".repeat(64)}`],
  checkpoints: encodeTarZinfo({ version: 2, spanSize: 1024, size: 1024 })
}

/** A ztoc whose vector of entries says it has this many. */
const countingEntries = (count: number): Uint8Array => {
  const entry = {
    name: "marked",
    type: "reg",
    offset: 512,
    size: 0,
    linkname: "",
    mode: 0n,
    uid: 0,
    gid: 0,
    uname: "",
    gname: "",
    modTime: "",
    devmajor: 0n,
    devminor: 0n,
    pax: []
  }
  const bytes = Buffer.from(Result.getOrThrow(encodeZtoc({ ...emptyZtoc, entries: [entry] })))
  const root = bytes.readUInt32LE(0)
  const field = (table: number, slot: number) =>
    table + bytes.readUInt16LE(table - bytes.readInt32LE(table) + 4 + 2 * slot)
  const follow = (at: number) => at + bytes.readUInt32LE(at)
  bytes.writeUInt32LE(count, follow(field(follow(field(root, 4)), 0)))
  return bytes
}

describe("a hostile layer", () => {
  it("of empty blocks, each of which would be a checkpoint, is refused at the limit", () => {
    const blocks = Buffer.concat([...repeat(emptyStoredBlock, 10_000)])
    const result = build([gzipHeader, ...repeat(blocks, 4)])
    assert.isTrue(isScanFailure(result))
    if (!isScanFailure(result)) return
    assert.strictEqual(result.stage, "marshal")
    assert.closeTo(result.offset, 5 * ZtocLimits.checkpoints, 100)
  })

  it("of more plain spans than the limit is refused when they have passed", () => {
    const result = build(repeat(Buffer.alloc(100_000), 20), { compression: "uncompressed", spanSize: 1 })
    assert.deepStrictEqual(isScanFailure(result) && [result.stage, result.offset], [
      "marshal",
      ZtocLimits.spans + 100_000
    ])
  })

  it("of gigabytes of zeros passes through a buffer, whatever it inflates to", () => {
    const member = gzipSync(Buffer.alloc(64 * 1024 * 1024), { level: 9 })
    const before = process.memoryUsage().external
    const result = build(repeat(member, 32))
    assert.isFalse(isScanFailure(result))
    if (isScanFailure(result)) return
    assert.strictEqual(result.uncompressedSize, 2 * 1024 ** 3)
    assert.isBelow(process.memoryUsage().external - before, 256 * 1024 * 1024)
  })

  it("with a hundred PAX headers for one file has that file, and the last of them", () => {
    const header = tarOf({ name: "a", pax: { comment: "x" } }).subarray(0, 1024)
    const tar = tarOf({ name: "file", content: "content", pax: { comment: "the last" } })
    const result = build([...repeat(header, 100), tar], { compression: "uncompressed" })
    assert.isFalse(isScanFailure(result))
    if (isScanFailure(result)) return
    const { entries } = Result.getOrThrow(decodeZtoc(result.ztoc))
    assert.deepStrictEqual(
      entries.map(({ name, pax }) => [name, pax]),
      [["file", [["comment", "the last"]]]]
    )
  })

  it("with a PAX header beyond its limit is refused with the place", () => {
    const tar = tarOf({ name: "file", pax: { comment: "x".repeat(ZtocLimits.tarHeaderBytes) } })
    const result = build([tar], { compression: "uncompressed" })
    assert.isTrue(isScanFailure(result))
    if (isScanFailure(result)) assert.include(result.reason, "header field too long")
  })
})

describe("a hostile ztoc", () => {
  it("is the known one when its count is true", () => {
    assert.strictEqual(Result.getOrThrow(decodeZtoc(countingEntries(1))).entries[0]?.name, "marked")
  })

  for (const count of [10 ** 9, 2 ** 32 - 1, 2 ** 30]) {
    it(`that says it has ${count} entries is refused with the place`, () => {
      const read = decodeZtoc(countingEntries(count))
      assert.isTrue(Result.isFailure(read))
      if (Result.isFailure(read)) assert.isNumber(read.failure.offset)
    })
  }

  it("with a span of more than the limit is refused before it is read", () => {
    const size = ZtocLimits.spanBytes + 1
    const checkpoints = encodeTarZinfo({ version: 2, spanSize: size, size })
    const opened = spansOf({ ...emptyZtoc, compressedArchiveSize: size, uncompressedArchiveSize: size, checkpoints })
    assert.include(Result.isFailure(opened) ? opened.failure.message : "", "larger than")
  })

  it("with more spans than the limit is refused before they are laid out", () => {
    const read = decodeTarZinfo(encodeTarZinfo({ version: 2, spanSize: 1, size: ZtocLimits.spans + 1 }))
    assert.include(Result.isFailure(read) ? read.failure.message : "", "span_size")
  })
})

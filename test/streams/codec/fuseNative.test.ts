import { assert, describe, it } from "@effect/vitest"
import { attributesWords, encodeAttributes, encodeStatistics } from "../../../src/streams/codec/fuseNative.ts"

const attributes = {
  node: 7,
  size: 2 ** 33 + 5,
  seconds: 1_700_000_000,
  nanoseconds: 123_456_789,
  mode: 0o100644,
  nlink: 2,
  uid: 4_000_000_000,
  gid: 1,
  rdev: 0xffff_ff03
}
const pairAt = (words: Uint32Array, at: number) => (words[at] ?? 0) + (words[at + 1] ?? 0) * 2 ** 32

const statistics = { blocks: 1000, blocksFree: 500, blocksAvailable: 400, files: 90, filesFree: 80, blockSize: 4096 }

describe("encodeAttributes", () => {
  it("holds sizes and times beyond 32 bits, and unsigned numbers as they are", () => {
    const words = encodeAttributes(attributes, new Uint32Array(attributesWords))
    assert.deepStrictEqual([...words.subarray(0, 3)], [0o100644, 4_000_000_000, 1])
    assert.strictEqual(pairAt(words, 3), 2 ** 33 + 5)
    assert.deepStrictEqual([...words.subarray(5, 10)], [0, 2, 7, 0xffff_ff03, 4096])
    assert.strictEqual(pairAt(words, 10), (2 ** 33 / 4096 + 1) * 8)
    for (const at of [12, 14, 16]) assert.strictEqual(pairAt(words, at), 1_700_000_000_123)
  })

  it("leaves nothing of what was written before", () => {
    const fresh = encodeAttributes({ ...attributes, size: 0 }, new Uint32Array(attributesWords))
    const used = encodeAttributes({ ...attributes, size: 0 }, new Uint32Array(attributesWords).fill(0xffff_ffff))
    assert.deepStrictEqual(used, fresh)
  })

  it("knows no time before 1970", () => {
    const words = encodeAttributes({ ...attributes, seconds: -3600 }, new Uint32Array(attributesWords))
    assert.strictEqual(pairAt(words, 14), 0)
  })
})

describe("encodeStatistics", () => {
  it("says what it is given, and how long names may be", () => {
    assert.deepStrictEqual([...encodeStatistics(statistics)], [4096, 4096, 1000, 500, 400, 90, 80, 80, 0, 0, 255])
  })

  it("counts larger blocks where there are too many", () => {
    const words = encodeStatistics({ ...statistics, blocks: 3 * 2 ** 33, blocksFree: 2 ** 33, files: 2 ** 40 })
    assert.deepStrictEqual([...words.subarray(0, 4)], [32_768, 32_768, 3 * 2 ** 30, 2 ** 30])
    assert.strictEqual(words[5], 2 ** 32 - 1)
  })

  it("bears a file system that says nothing", () => {
    const zeros = { blocks: 0, blocksFree: 0, blocksAvailable: 0, files: 0, filesFree: 0, blockSize: 0 }
    assert.deepStrictEqual([...encodeStatistics(zeros)], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255])
  })
})

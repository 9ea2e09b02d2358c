/**
 * Random ztocs: valid values, and zinfos of every kind.
 */
import type { GzipZinfo, TarZinfo, TocEntry, Ztoc } from "../../src/services/Ztoc.ts"
import { encodeGzipZinfo, encodeTarZinfo } from "../../src/streams/codec/zinfoWriter.ts"
import type { Random } from "./Random.ts"

const list = <A>(length: number, make: (i: number) => A): ReadonlyArray<A> => Array.from({ length }, (_, i) => make(i))

const byKey = ([a]: readonly [string, string], [b]: readonly [string, string]) => (a < b ? -1 : a > b ? 1 : 0)

const entryAt = (random: Random, offset: number): TocEntry => ({
  name: random.path(),
  type: random.pick(["reg", "reg", "dir", "dir", "symlink", "hardlink", "char", "block", "fifo", "", random.text(9)]),
  offset,
  size: random.chance(0.5) ? 0 : random.int(random.pick([10, 5000, 2 ** 32])),
  linkname: random.chance(0.5) ? "" : random.path(),
  mode: random.chance(0.5) ? 0o644n : random.int64(),
  uid: random.int(2 ** 32),
  gid: random.int(2 ** 32),
  uname: random.text(random.int(5)),
  gname: random.text(random.int(5)),
  modTime: random.pick(["", "2024-02-29T12:00:00.5Z", random.text(8)]),
  devmajor: random.int64(),
  devminor: random.int64(),
  pax: [...new Map(list(random.int(4), () => [random.text(random.int(20)), random.text(random.int(60))]))].toSorted(
    byKey
  )
})

/** Checkpoints of `size` compressed bytes, sound or, sometimes, out of order. */
export const randomGzipZinfo = (random: Random, size: number): GzipZinfo => {
  const version = random.pick([1, 2] as const)
  let input = 10
  let out = 0
  const checkpoints = list(1 + random.int(6), (i) => {
    if (i === 0) return { in: 10, out: 0, bits: 0, window: Buffer.alloc(32_768) }
    input += random.chance(0.02) ? -random.int(100) : 1 + random.int(Math.max(1, size / 4))
    out += random.chance(0.02) ? -random.int(100) : 1 + random.int(10_000)
    const bits = random.chance(0.02) ? random.int(256) : random.int(8)
    return { in: input, out, bits, window: Buffer.alloc(32_768, random.int(256)) }
  })
  return { algorithm: "gzip", version, spanSize: random.int(2 ** 32), checkpoints }
}

export const randomTarZinfo = (random: Random): TarZinfo => {
  const size = random.int(random.pick([100, 100_000, 2 ** 32]))
  // Small spans of a large layer are more than any limit: they have to be refused before they are laid out.
  const spanSize = random.chance(0.05) ? random.int(3) : 1 + Math.floor(size / (1 + random.int(50)))
  return { algorithm: "uncompressed", version: random.int(2 ** 31), spanSize, size }
}

const digestText = (random: Random) =>
  random.chance(0.002) ? random.text(20) : `sha256:${random.bytes(32).toString("hex")}`

/** A ztoc whose parts fit each other, most of the time. */
export const randomZtoc = (random: Random): Ztoc => {
  let offset = 512
  const entries = list(random.int(30), () => {
    const entry = entryAt(random, offset)
    offset += Math.ceil(entry.size / 512) * 512 + 512 * (1 + random.int(3))
    return entry
  })
  const compressedSize = 100 + random.int(100_000)
  const tar = random.chance(0.7)
  const zinfo = tar ? randomTarZinfo(random) : randomGzipZinfo(random, compressedSize)
  const count =
    zinfo.algorithm === "gzip" ? zinfo.checkpoints.length : Math.min(200, Math.ceil(zinfo.size / zinfo.spanSize) || 0)
  return {
    version: random.pick(["0.9", random.text(4)]),
    buildToolIdentifier: random.text(random.int(20)),
    compressedArchiveSize: zinfo.algorithm === "gzip" ? compressedSize : zinfo.size,
    uncompressedArchiveSize: Math.max(offset, zinfo.algorithm === "gzip" ? 50_000 : zinfo.size),
    entries,
    compressionAlgorithm: tar ? "uncompressed" : "gzip",
    maxSpanId: count - 1,
    spanDigests: list(count, () => digestText(random)),
    checkpoints: zinfo.algorithm === "gzip" ? encodeGzipZinfo(zinfo) : encodeTarZinfo(zinfo)
  }
}

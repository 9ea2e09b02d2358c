/**
 * Writes the ztoc flatbuffer (ztoc spec, section 2). The order of the calls decides every byte of the layout. Free of Effect: the
 * threads that build ztocs import it.
 */
import { Builder } from "flatbuffers"
import type { TocEntry, Ztoc } from "../../services/Ztoc.ts"

export const gzipAlgorithm = 1
export const algorithmNumbers: ReadonlyMap<string, number> = new Map([
  ["gzip", gzipAlgorithm],
  ["uncompressed", 2]
])

/** PAX records as a ztoc stores them: by ascending bytes of the keys. */
export const sortedPax = (records: ReadonlyMap<string, string>): TocEntry["pax"] =>
  records.size === 0 ? [] : [...records].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))

/** A ztoc whose zinfo blob is there in pieces: it is large, and is not held twice. */
export interface ZtocContent extends Omit<Ztoc, "checkpoints"> {
  readonly checkpoints: ReadonlyArray<Uint8Array>
}

/** The bytes of a ztoc whose algorithm has this number. Throws when a flatbuffer of 1 GiB does not hold it. */
export const writeZtoc = (ztoc: ZtocContent, algorithm: number): Uint8Array => {
  const builder = new Builder(likelySize(ztoc))
  const version = writeString(builder, ztoc.version)
  const buildTool = writeString(builder, ztoc.buildToolIdentifier)
  const metadata = writeOffsets(
    builder,
    ztoc.entries
      .toReversed()
      .map((entry) => writeEntry(builder, entry))
      .toReversed()
  )
  builder.startObject(1)
  builder.addFieldOffset(0, metadata, 0)
  const toc = builder.endObject()
  const checkpoints = writeBytes(builder, ztoc.checkpoints)
  const digests = writeOffsets(
    builder,
    ztoc.spanDigests.map((digest) => writeString(builder, digest))
  )
  builder.startObject(4)
  builder.addFieldInt32(1, ztoc.maxSpanId, 0)
  builder.addFieldOffset(2, digests, 0)
  builder.addFieldOffset(3, checkpoints, 0)
  builder.addFieldInt8(0, algorithm, gzipAlgorithm)
  const compression = builder.endObject()
  builder.startObject(6)
  builder.addFieldOffset(0, version, 0)
  builder.addFieldOffset(1, buildTool, 0)
  builder.addFieldOffset(4, toc, 0)
  builder.addFieldInt64(2, BigInt(ztoc.compressedArchiveSize), 0n)
  builder.addFieldInt64(3, BigInt(ztoc.uncompressedArchiveSize), 0n)
  builder.addFieldOffset(5, compression, 0)
  builder.finish(builder.endObject())
  return builder.asUint8Array()
}

/** A little more than the ztoc will have: a builder that has to grow holds everything three times. */
const likelySize = ({ entries, spanDigests, checkpoints }: ZtocContent): number => {
  let size = 4096 + lengthOf(checkpoints) + 88 * spanDigests.length
  for (const { name, linkname, uname, gname, modTime, pax } of entries) {
    size += 144 + name.length + linkname.length + uname.length + gname.length + modTime.length
    for (const [key, value] of pax) size += 40 + key.length + value.length
  }
  return size
}

const lengthOf = (parts: ReadonlyArray<Uint8Array>): number => parts.reduce((sum, { length }) => sum + length, 0)

const writeBytes = (builder: Builder, parts: ReadonlyArray<Uint8Array>): number => {
  builder.startVector(1, lengthOf(parts), 1)
  for (const part of parts.toReversed()) {
    builder.pad(part.length)
    const bytes = builder.dataBuffer().bytes()
    bytes.set(part, bytes.length - builder.offset())
  }
  return builder.endVector()
}

const writeEntry = (builder: Builder, entry: TocEntry): number => {
  const name = writeString(builder, entry.name)
  const type = writeString(builder, entry.type)
  const linkname = writeString(builder, entry.linkname)
  const uname = writeString(builder, entry.uname)
  const gname = writeString(builder, entry.gname)
  const modTime = writeString(builder, entry.modTime)
  const pax = writeOffsets(
    builder,
    entry.pax.map(([key, value]) => writePaxRecord(builder, key, value))
  )
  builder.startObject(14)
  builder.addFieldOffset(0, name, 0)
  builder.addFieldOffset(1, type, 0)
  builder.addFieldInt64(2, BigInt(entry.offset), 0n)
  builder.addFieldInt64(3, BigInt(entry.size), 0n)
  builder.addFieldOffset(4, linkname, 0)
  builder.addFieldInt64(5, entry.mode, 0n)
  builder.addFieldInt32(6, entry.uid | 0, 0)
  builder.addFieldInt32(7, entry.gid | 0, 0)
  builder.addFieldOffset(8, uname, 0)
  builder.addFieldOffset(9, gname, 0)
  builder.addFieldOffset(10, modTime, 0)
  builder.addFieldInt64(11, entry.devmajor, 0n)
  builder.addFieldInt64(12, entry.devminor, 0n)
  builder.addFieldOffset(13, pax, 0)
  return builder.endObject()
}

const writePaxRecord = (builder: Builder, key: string, value: string): number => {
  const keyAt = writeString(builder, key)
  const valueAt = writeString(builder, value)
  builder.startObject(2)
  builder.addFieldOffset(0, keyAt, 0)
  builder.addFieldOffset(1, valueAt, 0)
  return builder.endObject()
}

/**
 * What `createString` of the text's bytes writes, without a buffer for each string: a ztoc of 50,000 entries has 300,000 of them.
 */
const writeString = (builder: Builder, text: string): number => {
  builder.addInt8(0)
  builder.startVector(1, text.length, 1)
  for (let i = text.length - 1; i >= 0; i--) builder.writeInt8(text.charCodeAt(i))
  return builder.endVector()
}

const writeOffsets = (builder: Builder, offsets: ReadonlyArray<number>): number => {
  builder.startVector(4, offsets.length, 4)
  for (let i = offsets.length - 1; i >= 0; i--) builder.addOffset(offsets[i] ?? 0)
  return builder.endVector()
}

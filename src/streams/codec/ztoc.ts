/**
 * The ztoc flatbuffer, read and written (ztoc spec, sections 2 and 8). Equal values give equal bytes, and the same bytes as the
 * reference's writer: the order of the calls below decides the layout.
 */
import { Result } from "effect"
import { Builder } from "flatbuffers"
import { InvalidZtoc, type TocEntry, type Ztoc, ZtocLimits } from "../../services/Ztoc.ts"
import { readFlatbuffer, type Table } from "./flatbuffer.ts"

const algorithmNumbers = new Map([
  ["gzip", 1],
  ["uncompressed", 2]
])
const gzip = 1

const algorithmName = (number: number): string => {
  for (const [name, value] of algorithmNumbers) if (value === number) return name
  return `compressionalgorithm(${number})`
}

/** The value cannot be written: an algorithm without a number, or more than a flatbuffer of 1 GiB holds. */
export interface UnwritableZtoc {
  readonly reason: string
}

export const encodeZtoc = (ztoc: Ztoc): Result.Result<Uint8Array, UnwritableZtoc> => {
  const algorithm = algorithmNumbers.get(ztoc.compressionAlgorithm.toLowerCase() || "gzip")
  if (algorithm === undefined) {
    return Result.fail({ reason: `compression algorithm not defined in flatbuf: ${ztoc.compressionAlgorithm}` })
  }
  return Result.try({
    try: () => writeZtoc(ztoc, algorithm),
    catch: () => ({ reason: "cannot marshal Ztoc to flatbuffers" })
  })
}

const writeZtoc = (ztoc: Ztoc, algorithm: number): Uint8Array => {
  const builder = new Builder(ztoc.checkpoints.length + 256 * ztoc.entries.length + 4096)
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
  const checkpoints = builder.createByteVector(ztoc.checkpoints)
  const digests = writeOffsets(
    builder,
    ztoc.spanDigests.map((digest) => writeString(builder, digest))
  )
  builder.startObject(4)
  builder.addFieldInt32(1, ztoc.maxSpanId, 0)
  builder.addFieldOffset(2, digests, 0)
  builder.addFieldOffset(3, checkpoints, 0)
  builder.addFieldInt8(0, algorithm, gzip)
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

const writeString = (builder: Builder, text: string): number => builder.createString(Buffer.from(text, "latin1"))

const writeOffsets = (builder: Builder, offsets: ReadonlyArray<number>): number => {
  builder.startVector(4, offsets.length, 4)
  for (let i = offsets.length - 1; i >= 0; i--) builder.addOffset(offsets[i] ?? 0)
  return builder.endVector()
}

const invalid = (field: string, reason: string) => Result.fail(new InvalidZtoc({ stage: "unmarshal", field, reason }))

/** Reads a ztoc of at most 512 MiB. Entries stay in the order they are stored in; `Ztoc.checkpoints` is a view. */
export const decodeZtoc = (bytes: Uint8Array): Result.Result<Ztoc, InvalidZtoc> => {
  if (bytes.length > ZtocLimits.ztocBytes) {
    return invalid("size", `${bytes.length} bytes; at most ${ZtocLimits.ztocBytes} are read`)
  }
  const ztoc = readFlatbuffer(bytes, "cannot unmarshal ztoc", readZtoc)
  return Result.flatMap(ztoc, (read) => Result.map(layoutEntries(read.entries), () => read))
}

const readZtoc = (root: Table): Ztoc => {
  const toc = root.table(4, "toc")
  const compression = root.table(5, "compression_info")
  return {
    version: root.string(0),
    buildToolIdentifier: root.string(1),
    compressedArchiveSize: root.size(2, "compressed_archive_size"),
    uncompressedArchiveSize: root.size(3, "uncompressed_archive_size"),
    entries: toc.tables(0, ZtocLimits.entries, readEntry),
    compressionAlgorithm: algorithmName(compression.int8(0, gzip)),
    maxSpanId: compression.int32(1),
    spanDigests: compression.strings(2),
    checkpoints: compression.bytes(3)
  }
}

const readEntry = (table: Table): TocEntry => ({
  name: table.string(0),
  type: table.string(1),
  offset: table.size(2, "uncompressed_offset"),
  size: table.size(3, "uncompressed_size"),
  linkname: table.string(4),
  mode: table.int64(5),
  uid: table.uint32(6),
  gid: table.uint32(7),
  uname: table.string(8),
  gname: table.string(9),
  modTime: table.string(10),
  devmajor: table.int64(11),
  devminor: table.int64(12),
  pax: readPax(table)
})

/** Records in ascending key order; of a repeated key the last wins. */
const readPax = (table: Table): TocEntry["pax"] =>
  sortedPax(new Map(table.tables(13, ZtocLimits.entries, (record) => [record.string(0), record.string(1)] as const)))

/** PAX records as a ztoc stores them: by ascending bytes of the keys. */
export const sortedPax = (records: ReadonlyMap<string, string>): TocEntry["pax"] =>
  records.size === 0 ? [] : [...records].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))

/** An entry and where its headers begin: behind the data of the entry before it. */
export interface PlacedEntry {
  readonly entry: TocEntry
  readonly headerOffset: number
}

/**
 * The entries by the place of their data, each with the place of its headers (ztoc spec, 8.2). Sizes count for types without
 * data too.
 */
export const layoutEntries = (
  entries: ReadonlyArray<TocEntry>
): Result.Result<ReadonlyArray<PlacedEntry>, InvalidZtoc> => {
  const placed: Array<PlacedEntry> = []
  let next = 0
  for (const entry of isAscending(entries) ? entries : entries.toSorted((a, b) => a.offset - b.offset)) {
    if (next > entry.offset) {
      return invalid(
        "metadata",
        `invalid toc entry: data of entry ${placed.length} begin at ${entry.offset}, before ${next}`
      )
    }
    placed.push({ entry, headerOffset: next })
    next = entry.offset + Math.ceil(entry.size / 512) * 512
    if (!Number.isSafeInteger(next)) return invalid("metadata", `invalid toc entry: size ${entry.size}`)
  }
  return Result.succeed(placed)
}

const isAscending = (entries: ReadonlyArray<TocEntry>): boolean => {
  for (let i = 1; i < entries.length; i++) {
    const entry = entries[i]
    const before = entries[i - 1]
    if (entry && before && entry.offset < before.offset) return false
  }
  return true
}

/**
 * The ztoc flatbuffer, read and written (ztoc spec, sections 2 and 8). Equal values give equal bytes, and the same bytes as the
 * reference's writer: the order of the calls below decides the layout.
 */
import { Result } from "effect"
import { Builder } from "flatbuffers"
import { InvalidZtoc, type TocEntry, type Ztoc, ZtocLimits } from "../../services/Ztoc.ts"
import { readRootTable, type Table } from "./flatbuffer.ts"

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
export const decodeZtoc = (bytes: Uint8Array): Result.Result<Ztoc, InvalidZtoc> =>
  Result.gen(function* () {
    if (bytes.length > ZtocLimits.ztocBytes) {
      return yield* invalid("size", `${bytes.length} bytes; at most ${ZtocLimits.ztocBytes} are read`)
    }
    const root = yield* readRootTable(bytes, "cannot unmarshal ztoc")
    const toc = yield* root.table(4)
    if (toc === undefined) return yield* invalid("toc", "cannot unmarshal ztoc: the table is missing")
    const compression = yield* root.table(5)
    if (compression === undefined) {
      return yield* invalid("compression_info", "cannot unmarshal ztoc: the table is missing")
    }
    const entries = yield* readEntries(toc)
    yield* layoutEntries(entries)
    return {
      version: yield* root.string(0),
      buildToolIdentifier: yield* root.string(1),
      compressedArchiveSize: yield* count(root, 2, "compressed_archive_size"),
      uncompressedArchiveSize: yield* count(root, 3, "uncompressed_archive_size"),
      entries,
      compressionAlgorithm: algorithmName(yield* compression.int8(0, gzip)),
      maxSpanId: yield* compression.int32(1, 0),
      spanDigests: yield* compression.strings(2),
      checkpoints: yield* compression.bytes(3)
    }
  })

const maxSafe = BigInt(Number.MAX_SAFE_INTEGER)

/** A size or offset: not negative, and exact as a number. */
const count = (table: Table, slot: number, field: string): Result.Result<number, InvalidZtoc> =>
  Result.flatMap(table.int64(slot, 0n), (value) =>
    value >= 0n && value <= maxSafe ? Result.succeed(Number(value)) : invalid(field, `${value} is out of range`)
  )

const readEntries = (toc: Table): Result.Result<ReadonlyArray<TocEntry>, InvalidZtoc> =>
  Result.gen(function* () {
    const metadata = yield* toc.tables(0)
    if (metadata.length > ZtocLimits.entries) {
      return yield* invalid("metadata", `${metadata.length} entries; at most ${ZtocLimits.entries} are read`)
    }
    const entries: Array<TocEntry> = []
    for (let i = 0; i < metadata.length; i++) entries.push(yield* readEntry(yield* metadata.at(i)))
    return entries
  })

const readEntry = (table: Table): Result.Result<TocEntry, InvalidZtoc> =>
  Result.gen(function* () {
    return {
      name: yield* table.string(0),
      type: yield* table.string(1),
      offset: yield* count(table, 2, "uncompressed_offset"),
      size: yield* count(table, 3, "uncompressed_size"),
      linkname: yield* table.string(4),
      mode: yield* table.int64(5, 0n),
      uid: yield* table.uint32(6, 0),
      gid: yield* table.uint32(7, 0),
      uname: yield* table.string(8),
      gname: yield* table.string(9),
      modTime: yield* table.string(10),
      devmajor: yield* table.int64(11, 0n),
      devminor: yield* table.int64(12, 0n),
      pax: yield* readPax(table)
    }
  })

/** Records in ascending key order; of a repeated key the last wins. */
const readPax = (table: Table): Result.Result<TocEntry["pax"], InvalidZtoc> =>
  Result.gen(function* () {
    const records = yield* table.tables(13)
    if (records.length === 0) return []
    const pax = new Map<string, string>()
    for (let i = 0; i < records.length; i++) {
      const record = yield* records.at(i)
      pax.set(yield* record.string(0), yield* record.string(1))
    }
    return sortedPax(pax)
  })

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

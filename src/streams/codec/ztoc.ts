/**
 * The ztoc flatbuffer, read and written (ztoc spec, sections 2 and 8). Equal values give equal bytes, and the same bytes as the
 * reference's writer: the order of the calls below decides the layout.
 */
import { Result } from "effect"
import { InvalidZtoc, type TocEntry, type Ztoc } from "../../services/Ztoc.ts"
import { ZtocLimits } from "../../services/ZtocLimits.ts"
import { readFlatbuffer, type Table } from "./flatbuffer.ts"
import { algorithmNumbers, gzipAlgorithm, sortedPax, writeZtoc } from "./ztocWriter.ts"

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
    try: () => writeZtoc({ ...ztoc, checkpoints: [ztoc.checkpoints] }, algorithm),
    catch: () => ({ reason: "cannot marshal Ztoc to flatbuffers" })
  })
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
    compressionAlgorithm: algorithmName(compression.int8(0, gzipAlgorithm)),
    maxSpanId: compression.int32(1),
    spanDigests: compression.strings(2, ZtocLimits.spans),
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

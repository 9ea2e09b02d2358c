/**
 * A streaming tar reader that lists entries exactly as the reference does (ztoc spec, section 6): every dialect, PAX, GNU long
 * names, sparse maps, and its errors. Chunks go in, entries come out with the offset of their data.
 *
 * Synchronous and free of Effect: it runs in worker threads, between inflating and hashing.
 */
import type { EntryType } from "../../services/Ztoc.ts"
import { ZtocLimits } from "../../services/ZtocLimits.ts"
import { formatModTime, parseInt64, parsePaxRecords, parsePaxTime, type PaxRecords, type TarTime } from "./pax.ts"
import { blockSize, fieldNumber, isZeroBlock, parseHeaderBlock, type TarHeaderBlock } from "./tarHeader.ts"
import {
  isValidSparseMap,
  oldSparseEntries,
  pairsOf,
  type SparseData,
  sparseFormat,
  sparseMapOfRecords
} from "./tarSparse.ts"

export interface TarEntry {
  readonly name: string
  readonly linkname: string
  readonly typeflag: number
  /** Undefined for types a ztoc has no word for (`g`, `S`, `7` and others). */
  readonly type: EntryType | undefined
  /** Where the data begin in the stream. */
  readonly offset: number
  /** As declared; for a sparse file the expanded size. */
  readonly size: number
  /** Bytes of data in the stream. */
  readonly dataLength: number
  readonly mode: bigint
  /** The low 32 bits. */
  readonly uid: number
  readonly gid: number
  readonly uname: string
  readonly gname: string
  readonly mtime: TarTime
  /** `mtime` as RFC 3339. */
  readonly modTime: string
  readonly devmajor: bigint
  readonly devminor: bigint
  readonly records: PaxRecords
  /** Where the data go in the expanded file; undefined for a file without holes. */
  readonly sparse: ReadonlyArray<SparseData> | undefined
}

export interface TarHandlers {
  /** An entry's headers are complete; its data follow. */
  readonly onEntry: (entry: TarEntry) => void
  /** Data of the latest entry, in order. The bytes are only valid during the call. */
  readonly onData?: (bytes: Uint8Array) => void
}

/** The stream is no valid tar. A plain error: the layers that read tars wrap it. */
export class TarError extends Error {
  override readonly name = "TarError"
  readonly offset: number
  constructor(message: string, offset: number) {
    super(message)
    this.offset = offset
  }
}

const invalidHeader = "archive/tar: invalid tar header"
const fieldTooLong = "archive/tar: header field too long"
const unexpectedEnd = "unexpected EOF"

const flag = (text: string) => text.charCodeAt(0)
const headerOnly = new Set([..."123456"].map(flag))
const typeOfFlag = new Map<number, EntryType>([
  [flag("0"), "reg"],
  [flag("1"), "hardlink"],
  [flag("2"), "symlink"],
  [flag("3"), "char"],
  [flag("4"), "block"],
  [flag("5"), "dir"],
  [flag("6"), "fifo"]
])

const noRecords: PaxRecords = new Map()
const maxSafe = BigInt(Number.MAX_SAFE_INTEGER)

/** What may still change while the special headers in front of an entry are read. */
interface Draft {
  name: string
  linkname: string
  typeflag: number
  size: bigint
  uid: bigint
  gid: bigint
  uname: string
  gname: string
  mtime: TarTime
}

export class TarReader {
  readonly #handlers: TarHandlers
  readonly #steps: Generator<void, void, void>
  #chunk: Buffer = Buffer.alloc(0)
  #used = 0
  #position = 0
  #ended = false
  #done = false
  #error: TarError | undefined
  #header: Buffer = Buffer.alloc(0)
  /** Data and padding of the current entry that were not consumed yet. */
  #remaining = 0
  #padding = 0
  #mtimeText = { seconds: 0n, nanoseconds: 0, text: formatModTime({ seconds: 0n, nanoseconds: 0 }) }

  constructor(handlers: TarHandlers) {
    this.#handlers = handlers
    this.#steps = this.#read()
  }

  /** Bytes consumed up to now; once `finished`, the size of the archive. */
  get archiveSize(): number {
    return this.#position
  }

  /** The end of the archive was recognised; what follows in the stream is of no interest. */
  get finished(): boolean {
    return this.#done
  }

  /** Takes the next bytes of the stream. Returns the error that ended the listing, now or earlier. */
  push(bytes: Uint8Array): TarError | undefined {
    if (this.#done || this.#error) return this.#error
    this.#chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#used = 0
    return this.#run()
  }

  /** The stream has ended. */
  end(): TarError | undefined {
    if (this.#done || this.#error) return this.#error
    this.#ended = true
    return this.#run()
  }

  #run(): TarError | undefined {
    try {
      if (this.#steps.next().done) this.#done = true
    } catch (error) {
      if (!(error instanceof TarError)) throw error
      this.#error = error
    }
    return this.#error
  }

  #fail(message: string): never {
    throw new TarError(message, this.#position)
  }

  /** `length` contiguous bytes, valid until the next step; fewer where the stream ends. */
  *#take(length: number): Generator<void, Buffer, void> {
    if (this.#chunk.length - this.#used >= length) return this.#consume(length)
    const parts: Array<Buffer> = []
    let missing = length
    for (;;) {
      const part = this.#consume(Math.min(missing, this.#chunk.length - this.#used))
      missing -= part.length
      if (part.length > 0) parts.push(missing === 0 ? part : Buffer.from(part))
      if (missing === 0 || this.#ended) return Buffer.concat(parts)
      yield
    }
  }

  #consume(length: number): Buffer {
    const bytes = this.#chunk.subarray(this.#used, this.#used + length)
    this.#used += length
    this.#position += length
    return bytes
  }

  /** Passes over bytes; returns how many the stream did not have. */
  *#skip(length: number, onData?: (bytes: Uint8Array) => void): Generator<void, number, void> {
    for (let missing = length; ;) {
      const part = this.#consume(Math.min(missing, this.#chunk.length - this.#used))
      missing -= part.length
      if (part.length > 0) onData?.(part)
      if (missing === 0 || this.#ended) return missing
      yield
    }
  }

  *#read(): Generator<void, void, void> {
    let records: PaxRecords = noRecords
    let longName = ""
    let longLink = ""
    for (;;) {
      if ((yield* this.#skip(this.#remaining, this.#handlers.onData)) > 0) this.#fail(unexpectedEnd)
      if ((yield* this.#skip(this.#padding)) > 0) return
      const header = yield* this.#readHeader()
      if (header === undefined) return
      this.#setData(header.typeflag, header.size)
      switch (header.typeflag) {
        case flag("x"):
        case flag("g"): {
          const parsed = parsePaxRecords((yield* this.#takeSpecialFile()).toString("latin1"))
          if (parsed === undefined) this.#fail(invalidHeader)
          if (header.typeflag === flag("x")) {
            records = parsed
            break
          }
          const draft = this.#merge(header, parsed)
          this.#emit(header, { ...draft, name: header.name }, parsed, undefined)
          break
        }
        case flag("L"):
          longName = textOf(yield* this.#takeSpecialFile())
          break
        case flag("K"):
          longLink = textOf(yield* this.#takeSpecialFile())
          break
        default: {
          const draft = this.#merge(header, records)
          if (longName !== "") draft.name = longName
          if (longLink !== "") draft.linkname = longLink
          if (draft.typeflag === 0) draft.typeflag = flag(draft.name.endsWith("/") ? "5" : "0")
          this.#setData(draft.typeflag, draft.size)
          const sparse = yield* this.#readSparseMap(draft, records)
          this.#emit(header, draft, records, sparse)
          records = noRecords
          longName = longLink = ""
        }
      }
    }
  }

  /** The next header block; undefined at the end of the archive. */
  *#readHeader(): Generator<void, TarHeaderBlock | undefined, void> {
    this.#header = yield* this.#takeBlock()
    if (this.#header.length === 0) return undefined
    if (isZeroBlock(this.#header)) {
      const second = yield* this.#takeBlock()
      if (second.length === 0 || isZeroBlock(second)) return undefined
      this.#fail(invalidHeader)
    }
    return parseHeaderBlock(this.#header) ?? this.#fail(invalidHeader)
  }

  /** A block, or nothing where the stream ends exactly here. */
  *#takeBlock(): Generator<void, Buffer, void> {
    const block = yield* this.#take(blockSize)
    if (block.length > 0 && block.length < blockSize) this.#fail(unexpectedEnd)
    return block
  }

  #setData(typeflag: number, size: bigint): void {
    const length = headerOnly.has(typeflag) ? 0n : size
    if (length < 0n || length > maxSafe - BigInt(this.#position) - BigInt(blockSize)) this.#fail(invalidHeader)
    this.#remaining = Number(length)
    this.#padding = -this.#remaining & (blockSize - 1)
  }

  *#takeSpecialFile(): Generator<void, Buffer, void> {
    const length = this.#remaining
    if (length > ZtocLimits.tarHeaderBytes) {
      if ((yield* this.#skip(ZtocLimits.tarHeaderBytes + 1)) > 0) this.#fail(unexpectedEnd)
      this.#fail(fieldTooLong)
    }
    const body = yield* this.#take(length)
    if (body.length < length) this.#fail(unexpectedEnd)
    this.#remaining = 0
    return body
  }

  /** The entry with its PAX records applied; a record with an empty value changes nothing. */
  #merge(header: TarHeaderBlock, records: PaxRecords): Draft {
    const draft: Draft = { ...header, mtime: { seconds: header.mtime, nanoseconds: 0 } }
    for (const [key, value] of records) {
      if (value === "") continue
      switch (key) {
        case "path":
          draft.name = value
          break
        case "linkpath":
          draft.linkname = value
          break
        case "uname":
        case "gname":
          draft[key] = value
          break
        case "uid":
        case "gid":
        case "size":
          draft[key] = parseInt64(value) ?? this.#fail(invalidHeader)
          break
        case "mtime":
          draft.mtime = parsePaxTime(value) ?? this.#fail(invalidHeader)
          break
        case "atime":
        case "ctime":
          if (parsePaxTime(value) === undefined) this.#fail(invalidHeader)
          break
        default:
      }
    }
    return draft
  }

  *#readSparseMap(draft: Draft, records: PaxRecords): Generator<void, ReadonlyArray<SparseData> | undefined, void> {
    let map: ReadonlyArray<SparseData> | undefined
    if (draft.typeflag === flag("S")) {
      map = yield* this.#readOldSparseMap(draft)
    } else {
      const format = records.size === 0 ? undefined : sparseFormat(records)
      if (format === undefined) return undefined
      const name = records.get("GNU.sparse.name") ?? ""
      if (name !== "") draft.name = name
      const size = records.get("GNU.sparse.size") || (records.get("GNU.sparse.realsize") ?? "")
      if (size !== "") draft.size = parseInt64(size) ?? this.#fail(invalidHeader)
      map = format === "1.0" ? yield* this.#readSparseMapOfData() : sparseMapOfRecords(records)
    }
    if (map === undefined || headerOnly.has(draft.typeflag) || !isValidSparseMap(map, draft.size)) {
      this.#fail(invalidHeader)
    }
    return map
  }

  /** Format 1.0: decimal lines at the start of the data, in whole blocks. */
  *#readSparseMapOfData(): Generator<void, ReadonlyArray<SparseData> | undefined, void> {
    const numbers: Array<bigint | undefined> = []
    let line = ""
    for (let wanted = 1; numbers.length < wanted;) {
      if (this.#remaining < blockSize) this.#fail(unexpectedEnd)
      const block = yield* this.#take(blockSize)
      if (block.length < blockSize) this.#fail(unexpectedEnd)
      this.#remaining -= blockSize
      const [first = "", ...more] = block.toString("latin1").split("\n")
      const lines = [line + first, ...more]
      line = lines.pop() ?? ""
      if (line.length > blockSize) return undefined
      for (const text of lines) numbers.push(parseInt64(text))
      const count = numbers[0]
      if (numbers.length === 0) continue
      if (count === undefined || count < 0n || count > BigInt(ZtocLimits.sparsePieces)) return undefined
      wanted = 1 + 2 * Number(count)
      numbers.length = Math.min(numbers.length, wanted)
    }
    return pairsOf(numbers.slice(1))
  }

  *#readOldSparseMap(draft: Draft): Generator<void, ReadonlyArray<SparseData> | undefined, void> {
    let block = this.#header
    if (parseHeaderBlock(block)?.dialect !== "gnu") this.#fail(invalidHeader)
    draft.size = fieldNumber(block, 483, 12) ?? this.#fail(invalidHeader)
    const map: Array<SparseData> = []
    let part = oldSparseEntries(block, { first: 386, count: 4, extended: 482 })
    for (;;) {
      if (part.map === undefined || map.length > ZtocLimits.sparsePieces) return undefined
      map.push(...part.map)
      if (!part.extended) return map
      block = yield* this.#take(blockSize)
      if (block.length < blockSize) this.#fail(unexpectedEnd)
      part = oldSparseEntries(block, { first: 0, count: 21, extended: 504 })
    }
  }

  #emit(
    header: TarHeaderBlock,
    draft: Draft,
    records: PaxRecords,
    sparse: ReadonlyArray<SparseData> | undefined
  ): void {
    if (draft.size > maxSafe || draft.size < -maxSafe) this.#fail(invalidHeader)
    this.#handlers.onEntry({
      name: draft.name,
      linkname: draft.linkname,
      typeflag: draft.typeflag,
      type: typeOfFlag.get(draft.typeflag),
      offset: this.#position,
      size: Number(draft.size),
      dataLength: this.#remaining,
      mode: header.mode,
      uid: Number(BigInt.asUintN(32, draft.uid)),
      gid: Number(BigInt.asUintN(32, draft.gid)),
      uname: draft.uname,
      gname: draft.gname,
      mtime: draft.mtime,
      modTime: this.#modTime(draft.mtime),
      devmajor: header.devmajor,
      devminor: header.devminor,
      records,
      sparse
    })
  }

  /** Whole layers often carry one time: formatting it once is worth a look. */
  #modTime({ seconds, nanoseconds }: TarTime): string {
    const latest = this.#mtimeText
    if (latest.seconds !== seconds || latest.nanoseconds !== nanoseconds) {
      this.#mtimeText = { seconds, nanoseconds, text: formatModTime({ seconds, nanoseconds }) }
    }
    return this.#mtimeText.text
  }
}

/** The text before the first NUL, one character a byte. */
const textOf = (body: Buffer): string => {
  const end = body.indexOf(0)
  return body.toString("latin1", 0, end < 0 ? body.length : end)
}

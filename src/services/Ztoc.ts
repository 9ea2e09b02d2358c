/**
 * A ztoc: the table of contents of one layer's tar, the points where inflating may begin, and a digest for each span
 * (ztoc spec, sections 1 to 4).
 */
import { Schema } from "effect"
import type { Digest } from "./Descriptor.ts"

/**
 * Text of a tar or ztoc, one character for each byte (U+0000 to U+00FF): names need not be UTF-8 and are kept byte for
 * byte. Comparing two of them compares their bytes.
 */
export type ByteString = string

export type EntryType = "reg" | "dir" | "symlink" | "hardlink" | "char" | "block" | "fifo"

/** One tar entry as it was found. Nothing is cleaned: names may be absolute, contain `..` or be empty. */
export interface TocEntry {
  readonly name: ByteString
  /** One of `EntryType`, or what another builder wrote. */
  readonly type: ByteString
  /** Where the entry's data begin in the uncompressed stream. */
  readonly offset: number
  readonly size: number
  readonly linkname: ByteString
  readonly mode: bigint
  readonly uid: number
  readonly gid: number
  readonly uname: ByteString
  readonly gname: ByteString
  /** RFC 3339, or empty where the year cannot be written so. */
  readonly modTime: ByteString
  readonly devmajor: bigint
  readonly devminor: bigint
  /** All PAX records, in ascending byte order of their keys. */
  readonly pax: ReadonlyArray<readonly [key: ByteString, value: ByteString]>
}

/** A place where inflating a gzip layer may begin (ztoc spec, 3.2). */
export interface Checkpoint {
  /** Offset of the first compressed byte of which no bit has been used. */
  readonly in: number
  /** Uncompressed offset. */
  readonly out: number
  /** Unused high bits of the byte before `in`, 0 to 7. */
  readonly bits: number
  /** The 32768 bytes of output before `out`, oldest first, zeros in front where there are fewer. */
  readonly window: Uint8Array
}

export interface GzipZinfo {
  readonly algorithm: "gzip"
  /** The form of the stored blob; version 1 leaves checkpoint 0 out. */
  readonly version: 1 | 2
  readonly spanSize: number
  readonly checkpoints: ReadonlyArray<Checkpoint>
}

export interface TarZinfo {
  readonly algorithm: "uncompressed"
  readonly version: number
  readonly spanSize: number
  /** Size of the layer. */
  readonly size: number
}

/** What is needed to take a layer's spans apart. */
export type Zinfo = GzipZinfo | TarZinfo

export interface Ztoc {
  readonly version: ByteString
  readonly buildToolIdentifier: ByteString
  readonly compressedArchiveSize: number
  /** Tar bytes up to the recognised end of the archive; the stream itself may be longer. */
  readonly uncompressedArchiveSize: number
  readonly entries: ReadonlyArray<TocEntry>
  /** `gzip`, `uncompressed`, or the name of a number that is neither. */
  readonly compressionAlgorithm: string
  readonly maxSpanId: number
  readonly spanDigests: ReadonlyArray<ByteString>
  /** The zinfo as stored. */
  readonly checkpoints: Uint8Array
}

/** A span of a layer: where its compressed bytes are and what they become. Ends are exclusive. */
export interface Span {
  readonly id: number
  readonly compressedStart: number
  readonly compressedEnd: number
  readonly uncompressedStart: number
  readonly uncompressedEnd: number
  readonly digest: Digest
}

/**
 * The bytes are no ztoc, or one that contradicts itself or a limit. `field` is where, `offset` the byte in the ztoc where
 * that is known.
 */
export class InvalidZtoc extends Schema.TaggedError<InvalidZtoc>()("InvalidZtoc", {
  /** How far reading came (ztoc vectors, "Stages"). */
  stage: Schema.Literals(["unmarshal", "zinfo", "toc", "spans"]),
  field: Schema.String,
  reason: Schema.String,
  offset: Schema.optionalKey(Schema.Number)
}) {
  override get message(): string {
    const where = this.offset === undefined ? this.field : `${this.field} at byte ${this.offset}`
    return `invalid ztoc: ${where}: ${this.reason}`
  }
}

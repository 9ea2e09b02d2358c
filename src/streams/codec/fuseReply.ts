/**
 * Replies of the FUSE kernel protocol, written in place into the buffer that write(2) takes. One object serves all replies of a thread;
 * offsets are those in the body.
 */
import { replyHeaderBytes } from "./fuse.ts"

const two32 = 2 ** 32

/** How long kernels may keep names and attributes: content never changes, so the longest that is polite. */
export const forever = 86_400

/** struct fuse_attr. Times are the one a file has; sizes are bytes. */
export interface FuseAttributes {
  readonly node: number
  readonly size: number
  readonly seconds: number
  readonly nanoseconds: number
  readonly mode: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  readonly rdev: number
}

/** struct fuse_kstatfs. */
export interface FuseStatistics {
  readonly blocks: number
  readonly blocksFree: number
  readonly blocksAvailable: number
  readonly files: number
  readonly filesFree: number
  readonly blockSize: number
}

const attributesBytes = 88
export const attributesReplyBytes = 16 + attributesBytes
export const entryBytes = 40 + attributesBytes
export const openReplyBytes = 16
export const statisticsReplyBytes = 80
const direntBytes = 24

const maxNameBytes = 255

export class FuseReply {
  readonly bytes: Uint8Array
  /** The body alone, for calls that fill it. */
  readonly body: Uint8Array
  readonly #view: DataView

  constructor(bodyCapacity: number) {
    const buffer = new ArrayBuffer(replyHeaderBytes + bodyCapacity)
    this.bytes = new Uint8Array(buffer)
    this.body = this.bytes.subarray(replyHeaderBytes)
    this.#view = new DataView(buffer, replyHeaderBytes)
  }

  /** Writes the header of a reply with a body of `result` bytes, or with the negative errno it is. Returns the reply's length. */
  finish(uniqueLow: number, uniqueHigh: number, result: number): number {
    const header = new DataView(this.bytes.buffer, 0, replyHeaderBytes)
    const length = replyHeaderBytes + Math.max(result, 0)
    header.setUint32(0, length, true)
    header.setInt32(4, Math.min(result, 0), true)
    header.setUint32(8, uniqueLow, true)
    header.setUint32(12, uniqueHigh, true)
    return length
  }

  uint16(at: number, value: number): void {
    this.#view.setUint16(at, value, true)
  }

  uint32(at: number, value: number): void {
    this.#view.setUint32(at, value, true)
  }

  /** Also negative numbers, as two's complement. */
  uint64(at: number, value: number): void {
    this.#view.setUint32(at, value >>> 0, true)
    this.#view.setInt32(at + 4, Math.floor(value / two32), true)
  }

  zero(from: number, to: number): void {
    this.body.fill(0, from, to)
  }

  #attributes(at: number, of: FuseAttributes): void {
    this.uint64(at, of.node)
    this.uint64(at + 8, of.size)
    // In units of 512, for whole blocks of 4096 (lazy-filesystem spec, 6.3).
    this.uint64(at + 16, Math.ceil(of.size / 4096) * 8)
    this.uint64(at + 24, of.seconds)
    this.uint64(at + 32, of.seconds)
    this.uint64(at + 40, of.seconds)
    this.uint32(at + 48, of.nanoseconds)
    this.uint32(at + 52, of.nanoseconds)
    this.uint32(at + 56, of.nanoseconds)
    this.uint32(at + 60, of.mode)
    this.uint32(at + 64, of.nlink)
    this.uint32(at + 68, of.uid)
    this.uint32(at + 72, of.gid)
    this.uint32(at + 76, of.rdev)
    this.uint32(at + 80, 4096)
    this.uint32(at + 84, 0)
  }

  /** The reply to GETATTR. */
  attributes(of: FuseAttributes): number {
    this.uint64(0, forever)
    this.uint64(8, 0)
    this.#attributes(16, of)
    return attributesReplyBytes
  }

  /** struct fuse_entry_out. Kernels keep the name for `seconds`. */
  entry(at: number, of: FuseAttributes, seconds: number): number {
    this.uint64(at, of.node)
    this.uint64(at + 8, 0)
    this.uint64(at + 16, seconds)
    this.uint64(at + 24, forever)
    this.uint64(at + 32, 0)
    this.#attributes(at + 40, of)
    return entryBytes
  }

  /** An entry that says that there is no such name, for kernels to remember. */
  noEntry(at: number, seconds: number): number {
    this.zero(at, at + entryBytes)
    this.uint64(at + 16, seconds)
    return entryBytes
  }

  open(flags: number): number {
    this.zero(0, openReplyBytes)
    this.uint32(8, flags)
    return openReplyBytes
  }

  /** One struct fuse_dirent; `next` is where reading goes on behind it. Returns its length, 0 where it does not fit below `limit`. */
  dirent(at: number, limit: number, node: number, next: number, type: number, name: Uint8Array): number {
    const length = direntLength(name.length)
    if (at + length > limit || name.length > maxNameBytes) return 0
    this.uint64(at, node)
    this.uint64(at + 8, next)
    this.uint32(at + 16, name.length)
    this.uint32(at + 20, type)
    this.body.set(name, at + direntBytes)
    this.zero(at + direntBytes + name.length, at + length)
    return length
  }

  statistics(of: FuseStatistics): number {
    this.zero(0, statisticsReplyBytes)
    this.uint64(0, of.blocks)
    this.uint64(8, of.blocksFree)
    this.uint64(16, of.blocksAvailable)
    this.uint64(24, of.files)
    this.uint64(32, of.filesFree)
    this.uint32(40, of.blockSize)
    this.uint32(44, maxNameBytes)
    this.uint32(48, of.blockSize)
    return statisticsReplyBytes
  }

  /** What GETXATTR and LISTXATTR answer when they are asked for a size only. */
  size(bytes: number): number {
    this.uint32(0, bytes)
    this.uint32(4, 0)
    return 8
  }
}

/** Entries of a directory start at multiples of 8. */
export const direntLength = (nameLength: number): number => (direntBytes + nameLength + 7) & ~7

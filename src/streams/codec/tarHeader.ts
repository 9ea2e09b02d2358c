/**
 * One 512-byte tar header block, read by the rules of the reference's tar reader (ztoc spec, 6.1).
 */

export const blockSize = 512

export type TarDialect = "v7" | "ustar" | "star" | "gnu"

/** What one header block says by itself, before PAX and GNU long names. */
export interface TarHeaderBlock {
  readonly dialect: TarDialect
  readonly typeflag: number
  readonly name: string
  readonly linkname: string
  readonly mode: bigint
  readonly uid: bigint
  readonly gid: bigint
  readonly size: bigint
  readonly mtime: bigint
  readonly uname: string
  readonly gname: string
  readonly devmajor: bigint
  readonly devminor: bigint
}

/** The text of a field, one character a byte, to its first NUL. */
export const fieldText = (block: Buffer, offset: number, length: number): string => {
  let end = offset
  while (end < offset + length && block[end] !== 0) end++
  return end === offset ? "" : block.toString("latin1", offset, end)
}

const space = 0x20
const isPadding = (byte: number | undefined) => byte === space || byte === 0

/** An octal number between blanks and NULs; undefined where it is none. At most 12 digits, so always exact. */
const octal = (block: Buffer, offset: number, length: number): number | undefined => {
  let start = offset
  let end = offset + length
  while (start < end && isPadding(block[start])) start++
  while (end > start && isPadding(block[end - 1])) end--
  let value = 0
  for (let i = start; i < end; i++) {
    const byte = block[i] ?? 0
    if (byte === 0) return value
    if (byte < 0x30 || byte > 0x37) return undefined
    value = value * 8 + (byte - 0x30)
  }
  return value
}

/** Base-256: big-endian two's complement; bit 6 of the first byte is the sign, bit 7 marks the form. */
const base256 = (block: Buffer, offset: number, length: number): bigint | undefined => {
  const negative = ((block[offset] ?? 0) & 0x40) !== 0
  let value = 0n
  for (let i = 0; i < length; i++) {
    let byte = (block[offset + i] ?? 0) ^ (negative ? 0xff : 0)
    if (i === 0) byte &= 0x7f
    value = (value << 8n) | BigInt(byte)
  }
  if (value >> 63n !== 0n) return undefined
  return negative ? -value - 1n : value
}

/** A number field, octal or base-256; undefined where it is neither. */
export const fieldNumber = (block: Buffer, offset: number, length: number): bigint | undefined => {
  if (((block[offset] ?? 0) & 0x80) !== 0) return base256(block, offset, length)
  const value = octal(block, offset, length)
  return value === undefined ? undefined : BigInt(value)
}

const checksumMatches = (block: Buffer): boolean => {
  const stored = octal(block, 148, 8)
  if (stored === undefined) return false
  let unsigned = 8 * space
  let highBytes = 0
  for (let i = 0; i < blockSize; i++) {
    if (i === 148) i = 156
    const byte = block[i] ?? 0
    unsigned += byte
    highBytes += byte >> 7
  }
  return stored === unsigned || stored === unsigned - 256 * highBytes
}

const dialectOf = (block: Buffer): TarDialect => {
  const magic = block.toString("latin1", 257, 263)
  if (magic === "ustar\0") return block.toString("latin1", 508, 512) === "tar\0" ? "star" : "ustar"
  return magic === "ustar " && block.toString("latin1", 263, 265) === " \0" ? "gnu" : "v7"
}

/** The prefix of the name; undefined where a number beside it cannot be read. */
const prefixOf = (block: Buffer, dialect: TarDialect): string | undefined => {
  if (dialect === "ustar") return fieldText(block, 345, 155)
  if (dialect === "star") {
    const times = [fieldNumber(block, 476, 12), fieldNumber(block, 488, 12)]
    return times.includes(undefined) ? undefined : fieldText(block, 345, 131)
  }
  const readable = [345, 357].every((at) => block[at] === 0 || fieldNumber(block, at, 12) !== undefined)
  if (dialect !== "gnu" || readable) return ""
  // Old writers put a name's prefix where GNU has its times.
  const prefix = fieldText(block, 345, 155)
  // eslint-disable-next-line no-control-regex
  return /^[\0-\x7f]*$/.test(prefix) ? prefix : ""
}

export const isZeroBlock = (block: Uint8Array): boolean => {
  for (let i = 0; i < blockSize; i++) if (block[i] !== 0) return false
  return true
}

/** Reads a header block; undefined for one that is no valid header. */
export const parseHeaderBlock = (block: Buffer): TarHeaderBlock | undefined => {
  if (!checksumMatches(block)) return undefined
  const dialect = dialectOf(block)
  const extended = dialect !== "v7"
  const mode = fieldNumber(block, 100, 8)
  const uid = fieldNumber(block, 108, 8)
  const gid = fieldNumber(block, 116, 8)
  const size = fieldNumber(block, 124, 12)
  const mtime = fieldNumber(block, 136, 12)
  const devmajor = extended ? fieldNumber(block, 329, 8) : 0n
  const devminor = extended ? fieldNumber(block, 337, 8) : 0n
  const prefix = extended ? prefixOf(block, dialect) : ""
  if (
    mode === undefined ||
    uid === undefined ||
    gid === undefined ||
    size === undefined ||
    mtime === undefined ||
    devmajor === undefined ||
    devminor === undefined ||
    prefix === undefined
  ) {
    return undefined
  }
  const name = fieldText(block, 0, 100)
  return {
    dialect,
    typeflag: block[156] ?? 0,
    name: prefix === "" ? name : `${prefix}/${name}`,
    linkname: fieldText(block, 157, 100),
    mode,
    uid,
    gid,
    size,
    mtime,
    uname: extended ? fieldText(block, 265, 32) : "",
    gname: extended ? fieldText(block, 297, 32) : "",
    devmajor,
    devminor
  }
}

/**
 * The tar headers of an OCI archive that is the same for the same content: no times, no owners, plain ustar
 * (CLI spec, section 6, "Archive layout").
 */

export const archiveBlockBytes = 512

/** Two blocks of zeros, and no padding to a record. */
export const archiveEnd: Uint8Array = new Uint8Array(2 * archiveBlockBytes)

export interface ArchiveMember {
  /** At most 100 characters; a directory's ends with a slash. */
  readonly name: string
  readonly mode: number
  readonly size: number
}

/** The largest size that eleven octal digits hold; a larger file gets an extended header in front. */
const maxOctalSize = 0o77777777777

const header = ({ name, mode, size }: ArchiveMember, type: string): Uint8Array => {
  const block = new Uint8Array(archiveBlockBytes)
  const text = (value: string, at: number) => new TextEncoder().encodeInto(value, block.subarray(at))
  const octal = (value: number, at: number, length: number) => text(value.toString(8).padStart(length - 1, "0"), at)
  text(name, 0)
  octal(mode, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(size, 124, 12)
  octal(0, 136, 12)
  text(type, 156)
  text("ustar\u000000", 257)
  octal(0, 329, 8)
  octal(0, 337, 8)
  // The sum is taken with blanks in its own place, and stands there with six digits.
  const sum = block.reduce((total, byte) => total + byte, 8 * 0x20)
  text(`${sum.toString(8).padStart(6, "0")}\0 `, 148)
  return block
}

/** `LENGTH KEY=VALUE\n`, where LENGTH counts its own digits. */
const sizeRecord = (size: number): string => {
  const rest = ` size=${size}\n`
  const length = rest.length + String(rest.length + 2).length
  return `${length}${rest}`
}

const padded = (bytes: Uint8Array): Uint8Array => {
  const whole = new Uint8Array(bytes.length + archivePadding(bytes.length).length)
  whole.set(bytes)
  return whole
}

/** The zeros behind so many bytes of content. */
export const archivePadding = (size: number): Uint8Array =>
  new Uint8Array((archiveBlockBytes - (size % archiveBlockBytes)) % archiveBlockBytes)

/** What stands in front of a member's content. */
export const archiveHeader = (member: ArchiveMember): Uint8Array => {
  if (member.name.endsWith("/")) return header({ ...member, size: 0 }, "5")
  if (member.size <= maxOctalSize) return header(member, "0")
  const record = new TextEncoder().encode(sizeRecord(member.size))
  const slash = member.name.lastIndexOf("/") + 1
  const name = `${member.name.slice(0, slash)}PaxHeaders.0/${member.name.slice(slash)}`.slice(0, 100)
  const blocks = [
    header({ name, mode: 0o644, size: record.length }, "x"),
    padded(record),
    header({ ...member, size: 0 }, "0")
  ]
  const whole = new Uint8Array(blocks.reduce((length, block) => length + block.length, 0))
  let at = 0
  for (const block of blocks) {
    whole.set(block, at)
    at += block.length
  }
  return whole
}

/** What makes a directory or an archive an OCI layout. */
export const layoutFile: Uint8Array = new TextEncoder().encode('{"imageLayoutVersion":"1.0.0"}')

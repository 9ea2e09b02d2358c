/**
 * Tar archives by hand, honest or not.
 */

export interface TarMember {
  readonly name: string
  /** The type flag: "0" a file, "1" a hard link, "2" a symbolic link, "3" and "4" devices, "5" a directory, "6" a fifo. */
  readonly type?: string
  readonly content?: string | Uint8Array
  readonly linkname?: string
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly mtime?: number
  readonly device?: readonly [major: number, minor: number]
  /** PAX records that stand in front of it. */
  readonly pax?: Readonly<Record<string, string>>
}

const blockSize = 512

const padded = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & (blockSize - 1))])

/** `LENGTH KEY=VALUE\n`, where LENGTH counts its own digits. Texts are one character a byte. */
const paxRecord = (key: string, value: string): string => {
  const rest = ` ${key}=${value}\n`
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return `${length}${rest}`
}

const header = (member: TarMember, size: number): Buffer => {
  const block = Buffer.alloc(blockSize)
  const octal = (value: number, at: number, length: number) =>
    block.write(value.toString(8).padStart(length - 1, "0"), at, "latin1")
  block.write(member.name.slice(0, 100), 0, "latin1")
  octal(member.mode ?? (member.type === "5" ? 0o755 : 0o644), 100, 8)
  octal(member.uid ?? 0, 108, 8)
  octal(member.gid ?? 0, 116, 8)
  octal(size, 124, 12)
  octal(member.mtime ?? 1_700_000_000, 136, 12)
  block.write(member.type ?? "0", 156, "latin1")
  block.write((member.linkname ?? "").slice(0, 100), 157, "latin1")
  block.write("ustar\u000000", 257, "latin1")
  octal(member.device?.[0] ?? 0, 329, 8)
  octal(member.device?.[1] ?? 0, 337, 8)
  block.fill(" ", 148, 156)
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    7
  )
  return block
}

const memberBytes = (member: TarMember): Buffer => {
  const content = Buffer.from(member.content ?? "")
  const records = Object.entries({
    ...(member.name.length > 100 ? { path: member.name } : {}),
    ...((member.linkname ?? "").length > 100 ? { linkpath: member.linkname ?? "" } : {}),
    ...member.pax
  })
  const pax = Buffer.from(records.map(([key, value]) => paxRecord(key, value)).join(""), "latin1")
  const extended = pax.length > 0 ? [header({ name: "pax", type: "x" }, pax.length), padded(pax)] : []
  return Buffer.concat([...extended, header(member, content.length), padded(content)])
}

/** The archive with its two blocks of zeros at the end. */
export const tarOf = (...members: ReadonlyArray<TarMember>): Uint8Array =>
  Buffer.concat([...members.map(memberBytes), Buffer.alloc(2 * blockSize)])

/**
 * Reads EROFS images as a strict kernel would, written from the format's description and sharing nothing with the writer. Throws where
 * an image breaks a rule of the format, wastes space or uses a byte twice.
 */
import { FileType, type LayerFile } from "./treeFiles.ts"

const blockSize = 512

/** An assertion of the test library takes longer than reading the inode it is about. */
const check = (holds: boolean, rule: string): void => {
  if (!holds) throw new Error(`the image breaks a rule: ${rule}`)
}

interface Superblock {
  readonly metaAt: number
  readonly rootNid: number
  readonly inodes: number
  readonly deviceBlocks: number
}

interface Inode {
  readonly nid: bigint
  readonly at: number
  readonly layout: number
  readonly xattrBytes: number
  readonly size: number
  readonly dataWord: number
  readonly file: LayerFile
}

const readSuperblock = (image: Buffer): Superblock => {
  const superblock = image.subarray(1024, 1152)
  check(superblock.readUInt32LE(0) === 0xe0f5e1e2, "magic")
  check(superblock.readUInt8(12) === 9, "log2 of the block size")
  check(superblock.readUInt32LE(36) * blockSize === image.length, "size of the image")
  check(superblock.readUInt32LE(80) === 0xc, "incompatible features")
  check(superblock.readUInt16LE(86) === 1, "extra devices")
  const slot = image.subarray(superblock.readUInt16LE(88) * 128)
  return {
    metaAt: superblock.readUInt32LE(40) * blockSize,
    rootNid: superblock.readUInt16LE(14),
    inodes: Number(superblock.readBigUInt64LE(16)),
    deviceBlocks: slot.readUInt32LE(64)
  }
}

class Reader {
  readonly superblock: Superblock
  /** What has been used so far. */
  readonly used: Array<readonly [start: number, end: number]> = [[0, 1280]]
  private readonly image: Buffer
  private readonly inodes = new Map<bigint, Inode>()

  constructor(image: Uint8Array) {
    this.image = Buffer.from(image.buffer, image.byteOffset, image.length)
    this.superblock = readSuperblock(this.image)
  }

  get inodeCount(): number {
    return this.inodes.size
  }

  inode(nid: bigint): Inode {
    const known = this.inodes.get(nid)
    if (known !== undefined) return known
    const inode = this.readInode(nid)
    this.inodes.set(nid, inode)
    return inode
  }

  private use(start: number, length: number): Buffer {
    if (length > 0) this.used.push([start, start + length])
    check(start + length <= this.image.length, "no byte is behind the image")
    return this.image.subarray(start, start + length)
  }

  private readInode(nid: bigint): Inode {
    const at = this.superblock.metaAt + Number(nid) * 32
    const bytes = this.use(at, 64)
    const format = bytes.readUInt16LE(0)
    check((format & ~0xe) === 1, "extended form")
    const layout = format >> 1
    const xattrCount = bytes.readUInt16LE(2)
    const xattrBytes = xattrCount === 0 ? 0 : 12 + (xattrCount - 1) * 4
    const mode = bytes.readUInt16LE(4)
    const type = mode & FileType.mask
    const size = Number(bytes.readBigUInt64LE(8))
    const dataWord = bytes.readUInt32LE(16)
    const place = { at, layout, xattrBytes, size, dataWord }
    const isDevice = type === 0o020000 || type === 0o060000
    return {
      nid,
      ...place,
      file: {
        inode: bytes.readUInt32LE(20),
        mode,
        owner: [bytes.readUInt32LE(24), bytes.readUInt32LE(28)],
        links: bytes.readUInt32LE(44),
        device: isDevice ? dataWord : 0,
        mtime: [Number(bytes.readBigInt64LE(32)), bytes.readUInt32LE(40)],
        size: type === FileType.directory ? undefined : size,
        dataOffset: type === FileType.file && size > 0 ? this.dataOffset(place) : undefined,
        target: type === FileType.symlink ? this.data(place).toString("latin1") : undefined,
        xattrs: this.xattrs(at + 64, xattrBytes)
      }
    }
  }

  private xattrs(start: number, length: number): Record<string, string> {
    const found: Record<string, string> = {}
    const area = this.use(start, length)
    if (length > 0) check(area.readUInt8(4) === 0, "shared attributes")
    const prefixes = ["", "user.", "system.posix_acl_access", "system.posix_acl_default", "trusted.", "", "security."]
    for (let at = 12; at < length;) {
      const value = at + 4 + area.readUInt8(at)
      const end = value + area.readUInt16LE(at + 2)
      const prefix = prefixes[area.readUInt8(at + 1)]
      check(prefix !== undefined && prefix !== "", "a known prefix")
      check(end <= length, "attributes end with their area")
      found[prefix + area.toString("latin1", at + 4, value)] = area.toString("latin1", value, end)
      at = Math.ceil(end / 4) * 4
    }
    return found
  }

  /** Where the chunks of a file, which must follow each other, begin in the device. */
  private dataOffset({ at, layout, xattrBytes, size, dataWord }: Omit<Inode, "nid" | "file">): number {
    check(layout === 4, "chunks")
    check((dataWord & ~0x1f) === 0x20, "chunk indexes")
    const blocks = 2 ** (dataWord & 0x1f)
    const count = Math.ceil(size / (blocks * blockSize))
    check(count === 1 || blocks === 2 ** 31, "as few chunks as possible")
    const indexes = this.use(Math.ceil((at + 64 + xattrBytes) / 8) * 8, count * 8)
    const first = indexes.readUInt32LE(4)
    for (let i = 0; i < count; i++) {
      check(indexes.readUInt32LE(i * 8) === 1 << 16, "the first extra device")
      check(indexes.readUInt32LE(i * 8 + 4) === first + i * blocks, "chunks follow each other")
    }
    check(first + Math.ceil(size / blockSize) <= this.superblock.deviceBlocks, "data end with the device")
    return first * blockSize
  }

  /** Data in the image. */
  data({ at, layout, xattrBytes, size, dataWord }: Omit<Inode, "nid" | "file">): Buffer {
    if (layout === 0) return this.use(dataWord * blockSize, size)
    check(layout === 2, "plain or inline")
    const start = at + 64 + xattrBytes
    check(Math.floor(start / blockSize) === Math.floor((start + size - 1) / blockSize), "one block")
    return this.use(start, size)
  }
}

interface Entry {
  readonly name: string
  readonly nid: bigint
  readonly type: number
}

const readBlock = (block: Buffer): ReadonlyArray<Entry> =>
  Array.from({ length: block.readUInt16LE(8) / 12 }, (_, i) => {
    const start = block.readUInt16LE(i * 12 + 8)
    const isLast = (i + 1) * 12 === block.readUInt16LE(8)
    // The last name ends with its block or before a NUL.
    const nul = block.indexOf(0, start)
    const end = isLast ? (nul < 0 ? block.length : nul) : block.readUInt16LE(i * 12 + 20)
    check(end > start, "a name of some length")
    return {
      name: block.toString("latin1", start, end),
      nid: block.readBigUInt64LE(i * 12),
      type: block.readUInt8(i * 12 + 10)
    }
  })

/** The entries of a directory's data, `.` and `..` as well. */
const readDirectory = (data: Buffer): ReadonlyArray<Entry> => {
  const entries: Array<Entry> = []
  for (let at = 0; at < data.length; at += blockSize) entries.push(...readBlock(data.subarray(at, at + blockSize)))
  for (const [i, { name }] of entries.entries()) {
    check(i === 0 || (entries[i - 1]?.name ?? "") < name, "names ascend")
  }
  return entries
}

const typeInEntry: ReadonlyMap<number, number> = new Map([
  [0o100000, 1],
  [0o040000, 2],
  [0o020000, 3],
  [0o060000, 4],
  [0o010000, 5],
  [0o120000, 7]
])

/** All files of an image by their paths, the root's is empty. */
export const filesOfImage = (image: Uint8Array): ReadonlyMap<string, LayerFile> => {
  const reader = new Reader(image)
  const root = BigInt(reader.superblock.rootNid)
  const files = new Map([["", reader.inode(root).file]])
  const directories = [{ path: "", nid: root, parent: root }]
  for (const { path, nid, parent } of directories) {
    for (const entry of readDirectory(reader.data(reader.inode(nid)))) {
      const { file } = reader.inode(entry.nid)
      check(entry.type === typeInEntry.get(file.mode & FileType.mask), "type in the entry")
      if (entry.name === ".") check(entry.nid === nid, "dot is the directory")
      else if (entry.name === "..") check(entry.nid === parent, "dot-dot is the parent")
      else {
        const child = path === "" ? entry.name : `${path}/${entry.name}`
        files.set(child, file)
        if (entry.type === 2) directories.push({ path: child, nid: entry.nid, parent: nid })
      }
    }
  }
  check(reader.superblock.inodes === reader.inodeCount, "inodes")
  assertTight(reader.used, image.length)
  return files
}

/** No byte has two uses, and what has none is less than a block at a time. */
const assertTight = (used: ReadonlyArray<readonly [start: number, end: number]>, length: number): void => {
  let end = 0
  for (const [start, until] of [...used.toSorted(([one], [other]) => one - other), [length, length] as const]) {
    check(start >= end, "nothing is used twice")
    check(start - end < blockSize, "less than a block is unused")
    end = until
  }
}

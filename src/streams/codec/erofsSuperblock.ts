/**
 * The head of an EROFS image with one extra device: superblock and device table (linux/fs/erofs/erofs_fs.h). Numbers are
 * little-endian everywhere in the format.
 */
const blockBits = 9
/** The block of a tar, so that the data of every file of a layer begin with a block. */
export const blockSize = 512
/** Inodes are numbered by these. */
export const slotBytes = 32

const superblockAt = 1024
const superblockBytes = 128
const deviceSlotBytes = 128
/** Where inodes begin: behind 1024 bytes of nothing, the superblock and the table of one device. */
export const headBytes = superblockAt + superblockBytes + deviceSlotBytes

const magic = 0xe0f5_e1e2
/** Inodes carry times of modification. */
const compatMtime = 2
const incompatChunkedFile = 4
const incompatDeviceTable = 8
const uuidBytes = 16

export interface Superblock {
  readonly rootNid: number
  readonly inodes: number
  /** Of the image. */
  readonly blocks: number
  /** Of the extra device. */
  readonly deviceBlocks: number
  readonly uuid: Uint8Array | undefined
}

/** Writes into zeros. The metadata area begins with the image itself: an inode's number is its offset by slots. */
export const writeHead = (view: DataView, superblock: Superblock): void => {
  const at = superblockAt
  view.setUint32(at, magic, true)
  view.setUint32(at + 8, compatMtime, true)
  view.setUint8(at + 12, blockBits)
  view.setUint16(at + 14, superblock.rootNid, true)
  view.setUint32(at + 16, superblock.inodes, true)
  view.setUint32(at + 36, superblock.blocks, true)
  superblock.uuid?.subarray(0, uuidBytes).forEach((byte, i) => view.setUint8(at + 48 + i, byte))
  view.setUint32(at + 80, incompatChunkedFile | incompatDeviceTable, true)
  view.setUint16(at + 86, 1, true)
  view.setUint16(at + 88, (superblockAt + superblockBytes) / deviceSlotBytes, true)
  view.setUint32(superblockAt + superblockBytes + 64, superblock.deviceBlocks, true)
}

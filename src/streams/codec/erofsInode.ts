/**
 * Inodes of an EROFS image, in their extended form: 64 bytes, then extended attributes, then chunk indexes or a short symlink's target
 * (linux/fs/erofs/erofs_fs.h).
 */
import type { LayerTree } from "../../services/LayerTree.ts"
import { blockSize } from "./erofsSuperblock.ts"

export const inodeBytes = 64

/** How an inode's data lie: in blocks of its own, behind the inode, or in chunks of another device. */
export const DataLayout = { plain: 0, inline: 2, chunks: 4 } as const

const extended = 1
const chunkIndexBytes = 8
const chunkIndexForm = 0x20
/** Of what a chunk can have, as log2 of its blocks: one TiB. */
const maxChunkBits = 31
const firstExtraDevice = 1

/** The smallest chunk that holds the whole file, or else the largest there is, as log2 of its blocks. */
const chunkBitsOf = (size: number): number => {
  const blocks = Math.ceil(size / blockSize)
  return Math.min(blocks > 1 ? 32 - Math.clz32(blocks - 1) : 0, maxChunkBits)
}

const chunkCount = (size: number): number => Math.ceil(size / (blockSize * 2 ** chunkBitsOf(size)))

/** Where chunk indexes begin, in bytes from the beginning of the inode, which is a multiple of 8. */
const chunkIndexesAt = (xattrBytes: number): number => Math.ceil((inodeBytes + xattrBytes) / 8) * 8

/** Bytes of an inode with xattrs and chunk indexes. */
export const chunkedInodeBytes = (size: number, xattrBytes: number): number =>
  chunkIndexesAt(xattrBytes) + chunkCount(size) * chunkIndexBytes

/** What i_u says of a file in chunks. */
export const chunkFormat = (size: number): number => chunkBitsOf(size) | chunkIndexForm

/** Chunk indexes for a file whose data lie in one piece in the extra device. */
export const writeChunkIndexes = (
  view: DataView,
  inodeAt: number,
  file: { readonly size: number; readonly dataOffset: number; readonly xattrBytes: number }
): void => {
  const blocksPerChunk = 2 ** chunkBitsOf(file.size)
  let at = inodeAt + chunkIndexesAt(file.xattrBytes)
  for (let chunk = 0; chunk < chunkCount(file.size); chunk++) {
    view.setUint16(at + 2, firstExtraDevice, true)
    view.setUint32(at + 4, file.dataOffset / blockSize + chunk * blocksPerChunk, true)
    at += chunkIndexBytes
  }
}

/** Writes 64 bytes of a node. `dataWord` is the first block of plain data, a device number, or the format of chunks. */
export const writeInode = (
  view: DataView,
  at: number,
  tree: LayerTree,
  node: number,
  data: { readonly layout: number; readonly size: number; readonly dataWord: number; readonly xattrCount: number }
): void => {
  view.setUint16(at, extended | (data.layout << 1), true)
  view.setUint16(at + 2, data.xattrCount, true)
  view.setUint16(at + 4, tree.mode[node] ?? 0, true)
  setInt64(view, at + 8, data.size)
  view.setUint32(at + 16, data.dataWord, true)
  view.setUint32(at + 20, node + 1, true)
  view.setUint32(at + 24, tree.uid[node] ?? 0, true)
  view.setUint32(at + 28, tree.gid[node] ?? 0, true)
  setInt64(view, at + 32, tree.mtimeSeconds[node] ?? 0)
  view.setUint32(at + 40, tree.mtimeNanoseconds[node] ?? 0, true)
  view.setUint32(at + 44, tree.nlink[node] ?? 0, true)
}

/** BigInt would cost more than the rest of the inode. */
const setInt64 = (view: DataView, at: number, value: number): void => {
  const high = Math.floor(value / 2 ** 32)
  view.setUint32(at, value - high * 2 ** 32, true)
  view.setInt32(at + 4, high, true)
}

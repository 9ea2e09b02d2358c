/**
 * The data of EROFS directories: blocks that begin with their entries and go on with the names, in ascending byte order over the
 * whole directory, `.` and `..` among them (linux/fs/erofs/erofs_fs.h). A name never crosses blocks.
 */
import type { LayerTree } from "../../services/LayerTree.ts"
import { blockSize } from "./erofsSuperblock.ts"

const direntBytes = 12
export const maxNameBytes = 255
const dot = 0x2e

/** Types in entries, by the type bits of a mode. */
const fileTypes: ReadonlyMap<number, number> = new Map([
  [0o100000, 1],
  [0o040000, 2],
  [0o020000, 3],
  [0o060000, 4],
  [0o010000, 5],
  [0o140000, 6],
  [0o120000, 7]
])
const typeMask = 0o170000

export const isFileType = (mode: number): boolean => fileTypes.has(mode & typeMask)

/** A directory's names with `.` and `..` where byte order has them: at `self` and `parent` of `count`. */
interface Listing {
  readonly tree: LayerTree
  readonly node: number
  readonly first: number
  readonly count: number
  readonly self: number
  readonly parent: number
}

const listingOf = (tree: LayerTree, node: number): Listing => {
  const first = tree.firstDirent[node] ?? 0
  const length = tree.direntLength[node] ?? 0
  let before = 0
  while (before < length && byteOfName(tree, first + before, 0) < dot) before++
  const self = before
  while (before < length && byteOfName(tree, first + before, 0) === dot && byteOfName(tree, first + before, 1) < dot) {
    before++
  }
  return { tree, node, first, count: length + 2, self, parent: before + 1 }
}

/** -1 behind the name's end, which comes before all bytes. */
const byteOfName = (tree: LayerTree, dirent: number, index: number): number =>
  index < (tree.nameLength[dirent] ?? 0) ? (tree.bytes[(tree.nameOffset[dirent] ?? 0) + index] ?? 0) : -1

const direntAt = ({ first, self, parent }: Listing, index: number): number =>
  first + index - (index > self ? 1 : 0) - (index > parent ? 1 : 0)

const nameLengthAt = (listing: Listing, index: number): number => {
  if (index === listing.self) return 1
  if (index === listing.parent) return 2
  return listing.tree.nameLength[direntAt(listing, index)] ?? 0
}

const nodeAt = (listing: Listing, index: number): number => {
  const { tree, node } = listing
  if (index === listing.self) return node
  if (index === listing.parent) return tree.parent[node] ?? node
  return tree.direntNode[direntAt(listing, index)] ?? 0
}

/** The end of the entries that share a block with the one at `start`. */
const endOfBlock = (listing: Listing, start: number): number => {
  let end = start
  for (let used = 0; end < listing.count; end++) {
    used += direntBytes + nameLengthAt(listing, end)
    if (used > blockSize) break
  }
  return end
}

/** Bytes of a directory's data; they may end within a block. */
export const directoryBytes = (tree: LayerTree, node: number): number => {
  const listing = listingOf(tree, node)
  let blocks = 0
  let used = 0
  for (let index = 0; index < listing.count; index++) {
    const bytes = direntBytes + nameLengthAt(listing, index)
    if (used + bytes > blockSize) {
      blocks++
      used = 0
    }
    used += bytes
  }
  return blocks * blockSize + used
}

/** Writes a directory's data, as many as `directoryBytes` says, into zeros. */
export const writeDirectory = (
  image: DataView<ArrayBuffer>,
  at: number,
  tree: LayerTree,
  node: number,
  nids: Uint32Array
): void => {
  const listing = listingOf(tree, node)
  let blockAt = at
  for (let start = 0; start < listing.count; blockAt += blockSize) {
    const end = endOfBlock(listing, start)
    writeBlock(image, blockAt, listing, start, end, nids)
    start = end
  }
}

const writeBlock = (
  image: DataView<ArrayBuffer>,
  at: number,
  listing: Listing,
  start: number,
  end: number,
  nids: Uint32Array
): void => {
  let nameAt = (end - start) * direntBytes
  for (let index = start; index < end; index++) {
    const node = nodeAt(listing, index)
    const entryAt = at + (index - start) * direntBytes
    image.setUint32(entryAt, nids[node] ?? 0, true)
    image.setUint16(entryAt + 8, nameAt, true)
    image.setUint8(entryAt + 10, fileTypes.get((listing.tree.mode[node] ?? 0) & typeMask) ?? 0)
    nameAt += writeName(image, at + nameAt, listing, index)
  }
}

const writeName = (image: DataView<ArrayBuffer>, at: number, listing: Listing, index: number): number => {
  const length = nameLengthAt(listing, index)
  if (index === listing.self || index === listing.parent) {
    for (let i = 0; i < length; i++) image.setUint8(at + i, dot)
    return length
  }
  const { bytes, nameOffset } = listing.tree
  const from = nameOffset[direntAt(listing, index)] ?? 0
  // Names are short: a view for each would take longer than the bytes.
  for (let i = 0; i < length; i++) image.setUint8(at + i, bytes[from + i] ?? 0)
  return length
}

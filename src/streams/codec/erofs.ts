/**
 * Writes the file tree of a layer as an EROFS image that holds metadata only: the data of files stay where they are, in the layer's
 * uncompressed stream, which is mounted as the image's extra device (linux/fs/erofs; erofs-mount spec).
 *
 * The image is head, inodes in the order of their nodes (the root first: its number has 16 bits), then the blocks of directories and
 * of long symlinks. Blocks have 512 bytes, as a tar's.
 */
import * as Result from "effect/Result"
import type { OpaqueXattr } from "../../services/FuseDriver.ts"
import type { LayerTree } from "../../services/LayerTree.ts"
import { opaqueKeys } from "../nodeXattrs.ts"
import { directoryBlocks, isFileType, writeDirectory } from "./erofsDirectory.ts"
import { chunkedInodeBytes, chunkFormat, DataLayout, inodeBytes, writeChunkIndexes, writeInode } from "./erofsInode.ts"
import { blockSize, headBytes, slotBytes, writeHead } from "./erofsSuperblock.ts"
import { writeXattrs, xattrAreaBytes, xattrCountOf } from "./erofsXattr.ts"

/** EROFS cannot hold this tree; a FUSE mount can. `path` is empty for the root and where no single file is concerned. */
export interface NotExpressible {
  readonly _tag: "NotExpressible"
  readonly path: string
  readonly reason: string
}

export interface ErofsOptions {
  /** Bytes of the extra device: the layer's uncompressed stream, rounded up to 512. */
  readonly streamSize: number
  readonly opaqueXattr: OpaqueXattr
  /** 16 bytes. overlayfs keeps inode numbers over copy-up only if its layers' are there and differ. */
  readonly uuid?: Uint8Array
}

/** Two GiB: five million files with long names. */
const maxImageBytes = 2 ** 31
/** Block numbers have 32 bits, all of them set mean a hole. */
const maxDeviceBlocks = 0xffff_fffe
/** Linux's PATH_MAX without its NUL. */
const maxTargetBytes = 4095
const maxNameBytes = 255

const typeMask = 0o170000
const regularType = 0o100000
const directoryType = 0o040000
const symlinkType = 0o120000

/** The image of a tree. Takes the image's size in memory, and 9 bytes for each node. */
export const writeErofs = (
  tree: LayerTree,
  options: ErofsOptions
): Result.Result<Uint8Array<ArrayBuffer>, NotExpressible> => {
  const deviceBlocks = Math.ceil(options.streamSize / blockSize)
  if (deviceBlocks > maxDeviceBlocks) return refuse("", `a stream of ${options.streamSize} bytes`)
  const marks = opaqueKeys(options.opaqueXattr)
  const places = placeNodes(tree, deviceBlocks, marks)
  if (Result.isFailure(places)) return Result.fail(places.failure)

  const { dataBlock, blocks, nids } = places.success
  const image = new Uint8Array(blocks * blockSize)
  const view = new DataView(image.buffer)
  writeHead(view, {
    rootNid: nids[0] ?? 0,
    inodes: tree.nodeCount,
    blocks,
    deviceBlocks,
    uuid: options.uuid
  })
  let block = dataBlock
  for (let node = 0; node < tree.nodeCount; node++)
    block += writeNode(image, view, tree, node, block, places.success, marks)
  return Result.succeed(image)
}

const refuse = (path: string, reason: string): Result.Result<never, NotExpressible> =>
  Result.fail({ _tag: "NotExpressible", path, reason })

interface Places {
  readonly nids: Uint32Array
  readonly layouts: Uint8Array
  readonly xattrBytes: Uint32Array
  /** The first block behind the inodes. */
  readonly dataBlock: number
  /** Of the whole image. */
  readonly blocks: number
}

const typeOf = (tree: LayerTree, node: number): number => (tree.mode[node] ?? 0) & typeMask

const roundUp = (bytes: number, to: number): number => Math.ceil(bytes / to) * to

const placeNodes = (
  tree: LayerTree,
  deviceBlocks: number,
  marks: ReadonlyArray<Uint8Array>
): Result.Result<Places, NotExpressible> => {
  const nids = new Uint32Array(tree.nodeCount)
  const layouts = new Uint8Array(tree.nodeCount)
  const xattrBytes = new Uint32Array(tree.nodeCount)
  let at = headBytes
  let ownBlocks = 0
  for (let node = 0; node < tree.nodeCount; node++) {
    const xattrs = xattrAreaBytes(tree, node, marks)
    const wrong = typeof xattrs === "string" ? xattrs : problemOf(tree, node, deviceBlocks)
    if (typeof xattrs === "string" || wrong !== undefined) return refuse(pathOf(tree, node), wrong ?? "")
    const layout = layoutOf(tree, node, xattrs)
    const bytes = bytesOfInode(tree, node, layout, xattrs)
    // The kernel reads inline data from one block.
    if (layout === DataLayout.inline && (at % blockSize) + bytes > blockSize) at = roundUp(at, blockSize)
    nids[node] = at / slotBytes
    layouts[node] = layout
    xattrBytes[node] = xattrs
    at = roundUp(at + bytes, slotBytes)
    ownBlocks += blocksOf(tree, node, layout)
    if (at + ownBlocks * blockSize > maxImageBytes) return refuse("", `metadata of more than ${maxImageBytes} bytes`)
  }
  const dataBlock = Math.ceil(at / blockSize)
  return Result.succeed({ nids, layouts, xattrBytes, dataBlock, blocks: dataBlock + ownBlocks })
}

const problemOf = (tree: LayerTree, node: number, deviceBlocks: number): string | undefined => {
  if (!isFileType(tree.mode[node] ?? 0)) return `no file has the mode ${(tree.mode[node] ?? 0).toString(8)}`
  const size = tree.size[node] ?? 0
  const dataOffset = tree.dataOffset[node] ?? 0
  switch (typeOf(tree, node)) {
    case regularType:
      if (size === 0) return undefined
      if (dataOffset % blockSize !== 0) return `its data begin at ${dataOffset}, which is no multiple of ${blockSize}`
      if (Math.ceil((dataOffset + size) / blockSize) > deviceBlocks) return "its data end behind the layer's stream"
      return undefined
    case symlinkType:
      return (tree.targetLength[node] ?? 0) > maxTargetBytes
        ? `it links to ${tree.targetLength[node]} bytes`
        : undefined
    case directoryType:
      return hasLongName(tree, node) ? `it has a name of more than ${maxNameBytes} bytes` : undefined
    default:
      return undefined
  }
}

const hasLongName = (tree: LayerTree, node: number): boolean => {
  const first = tree.firstDirent[node] ?? 0
  return tree.nameLength.subarray(first, first + (tree.direntLength[node] ?? 0)).some((length) => length > maxNameBytes)
}

const layoutOf = (tree: LayerTree, node: number, xattrBytes: number): number => {
  const type = typeOf(tree, node)
  if (type === regularType && (tree.size[node] ?? 0) > 0) return DataLayout.chunks
  const fits = inodeBytes + xattrBytes + (tree.targetLength[node] ?? 0) <= blockSize
  return type === symlinkType && fits ? DataLayout.inline : DataLayout.plain
}

/** With all that is behind the inode. */
const bytesOfInode = (tree: LayerTree, node: number, layout: number, xattrBytes: number): number => {
  if (layout === DataLayout.chunks) return chunkedInodeBytes(tree.size[node] ?? 0, xattrBytes)
  return inodeBytes + xattrBytes + (layout === DataLayout.inline ? (tree.targetLength[node] ?? 0) : 0)
}

/** Blocks a node has for itself. */
const blocksOf = (tree: LayerTree, node: number, layout: number): number => {
  if (layout !== DataLayout.plain) return 0
  const type = typeOf(tree, node)
  if (type === directoryType) return directoryBlocks(tree, node)
  return type === symlinkType ? Math.ceil((tree.targetLength[node] ?? 0) / blockSize) : 0
}

/** Writes a node, with its own blocks from `block` on; returns how many those are. */
const writeNode = (
  image: Uint8Array<ArrayBuffer>,
  view: DataView<ArrayBuffer>,
  tree: LayerTree,
  node: number,
  block: number,
  places: Places,
  marks: ReadonlyArray<Uint8Array>
): number => {
  const at = (places.nids[node] ?? 0) * slotBytes
  const layout = places.layouts[node] ?? 0
  const xattrBytes = places.xattrBytes[node] ?? 0
  const type = typeOf(tree, node)
  let size = type === regularType ? (tree.size[node] ?? 0) : 0
  let ownBytes = 0
  let dataWord = tree.rdev[node] ?? 0

  if (xattrBytes > 0) writeXattrs(image, at + inodeBytes, tree, node, marks)
  if (layout === DataLayout.chunks) {
    dataWord = chunkFormat(size)
    writeChunkIndexes(view, at, { size, dataOffset: tree.dataOffset[node] ?? 0, xattrBytes })
  } else if (type === directoryType) {
    dataWord = block
    ownBytes = size = writeDirectory(view, block * blockSize, tree, node, places.nids)
  } else if (type === symlinkType) {
    const inline = layout === DataLayout.inline
    size = writeTarget(image, inline ? at + inodeBytes + xattrBytes : block * blockSize, tree, node)
    ownBytes = inline ? 0 : size
    dataWord = inline ? 0 : block
  }
  writeInode(view, at, tree, node, { layout, size, dataWord, xattrCount: xattrCountOf(xattrBytes) })
  return Math.ceil(ownBytes / blockSize)
}

const writeTarget = (image: Uint8Array, at: number, tree: LayerTree, node: number): number => {
  const start = tree.targetOffset[node] ?? 0
  const length = tree.targetLength[node] ?? 0
  image.set(tree.bytes.subarray(start, start + length), at)
  return length
}

/** A path of a node, for people. */
const pathOf = (tree: LayerTree, node: number): string => {
  const components: Array<string> = []
  for (let at = node; at !== 0; at = tree.parent[at] ?? 0) components.unshift(nameIn(tree, tree.parent[at] ?? 0, at))
  return components.join("/")
}

const nameIn = (tree: LayerTree, directory: number, node: number): string => {
  const first = tree.firstDirent[directory] ?? 0
  const dirent = tree.direntNode.indexOf(node, first)
  const start = tree.nameOffset[dirent] ?? 0
  return new TextDecoder().decode(tree.bytes.slice(start, start + (tree.nameLength[dirent] ?? 0)))
}

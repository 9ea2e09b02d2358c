/**
 * Where the parts of an EROFS image go: inodes in the order of their nodes, each with what stands behind it, then the blocks of
 * directories and symlinks that are too long for that. Finds whatever EROFS cannot hold, so that writing cannot fail.
 */
import * as Result from "effect/Result"
import type { LayerTree } from "../../services/LayerTree.ts"
import { directoryBytes, isFileType, maxNameBytes } from "./erofsDirectory.ts"
import { chunkedInodeBytes, DataLayout, inodeBytes } from "./erofsInode.ts"
import { blockSize, headBytes, slotBytes } from "./erofsSuperblock.ts"
import { xattrAreaBytes } from "./erofsXattr.ts"

/** EROFS cannot hold this tree; a FUSE mount can. `path` is empty for the root and where no single file is concerned. */
export interface NotExpressible {
  readonly _tag: "NotExpressible"
  readonly path: string
  readonly reason: string
}

export const notExpressible = (path: string, reason: string): Result.Result<never, NotExpressible> =>
  Result.fail({ _tag: "NotExpressible", path, reason })

export interface Placement {
  /** By node: inode number, data layout, bytes of extended attributes, bytes of data in the image. */
  readonly nids: Uint32Array
  readonly layouts: Uint8Array
  readonly xattrBytes: Uint32Array
  readonly dataBytes: Uint32Array
  /** The first block behind the inodes. */
  readonly dataBlock: number
  /** Of the whole image. */
  readonly blocks: number
}

/** Room for five million files with long names. */
const maxImageBytes = 2 ** 31
/** Linux's PATH_MAX without its NUL. */
const maxTargetBytes = 4095

const typeMask = 0o170000
export const regularType = 0o100000
export const directoryType = 0o040000
export const symlinkType = 0o120000

export const typeOf = (tree: LayerTree, node: number): number => (tree.mode[node] ?? 0) & typeMask

/** Places a tree whose extra device has that many blocks and whose opaque directories get those marks. */
export const placeNodes = (
  tree: LayerTree,
  deviceBlocks: number,
  opaqueMarks: ReadonlyArray<Uint8Array>
): Result.Result<Placement, NotExpressible> => {
  const nids = new Uint32Array(tree.nodeCount)
  const layouts = new Uint8Array(tree.nodeCount)
  const xattrBytes = new Uint32Array(tree.nodeCount)
  const dataBytes = new Uint32Array(tree.nodeCount)
  let at = headBytes
  let ownBlocks = 0
  for (let node = 0; node < tree.nodeCount; node++) {
    const problem = problemOf(tree, node, deviceBlocks)
    if (problem !== undefined) return notExpressible(pathOf(tree, node), problem)
    const xattrs = xattrAreaBytes(tree, node, opaqueMarks)
    if (typeof xattrs === "string") return notExpressible(pathOf(tree, node), xattrs)
    const data = bytesInImage(tree, node)
    const layout = layoutOf(tree, node, xattrs, data)
    const inode = bytesOfInode(tree, node, layout, xattrs, data)
    // The kernel reads inline data from one block.
    if (layout === DataLayout.inline && (at % blockSize) + inode > blockSize) at = roundUp(at, blockSize)
    nids[node] = at / slotBytes
    layouts[node] = layout
    xattrBytes[node] = xattrs
    dataBytes[node] = data
    at = roundUp(at + inode, slotBytes)
    if (layout === DataLayout.plain) ownBlocks += Math.ceil(data / blockSize)
    if (at + ownBlocks * blockSize > maxImageBytes)
      return notExpressible("", `metadata of more than ${maxImageBytes} bytes`)
  }
  const dataBlock = Math.ceil(at / blockSize)
  return Result.succeed({ nids, layouts, xattrBytes, dataBytes, dataBlock, blocks: dataBlock + ownBlocks })
}

const roundUp = (bytes: number, to: number): number => Math.ceil(bytes / to) * to

const problemOf = (tree: LayerTree, node: number, deviceBlocks: number): string | undefined => {
  switch (typeOf(tree, node)) {
    case regularType:
      return problemOfData(tree.size[node] ?? 0, tree.dataOffset[node] ?? 0, deviceBlocks)
    case symlinkType: {
      const length = tree.targetLength[node] ?? 0
      return length > maxTargetBytes
        ? `it links to a name of ${length} bytes; at most ${maxTargetBytes} are possible`
        : undefined
    }
    case directoryType:
      return problemOfNames(tree, node)
    default:
      return isFileType(tree.mode[node] ?? 0) ? undefined : `no file has the mode ${(tree.mode[node] ?? 0).toString(8)}`
  }
}

const problemOfData = (size: number, offset: number, deviceBlocks: number): string | undefined => {
  if (size === 0) return undefined
  if (offset % blockSize !== 0) return `its data begin at byte ${offset}, which is no multiple of ${blockSize}`
  return Math.ceil((offset + size) / blockSize) > deviceBlocks ? "its data end behind the layer's stream" : undefined
}

const problemOfNames = (tree: LayerTree, node: number): string | undefined => {
  const first = tree.firstDirent[node] ?? 0
  const lengths = tree.nameLength.subarray(first, first + (tree.direntLength[node] ?? 0))
  const wrong = lengths.find((length) => length === 0 || length > maxNameBytes)
  return wrong === undefined ? undefined : `it holds a name of ${wrong} bytes; 1 to ${maxNameBytes} are possible`
}

/** Of what a node has as its data, those that the image holds. */
const bytesInImage = (tree: LayerTree, node: number): number => {
  const type = typeOf(tree, node)
  if (type === directoryType) return directoryBytes(tree, node)
  return type === symlinkType ? (tree.targetLength[node] ?? 0) : 0
}

const layoutOf = (tree: LayerTree, node: number, xattrBytes: number, dataBytes: number): number => {
  if (typeOf(tree, node) === regularType && (tree.size[node] ?? 0) > 0) return DataLayout.chunks
  return dataBytes > 0 && inodeBytes + xattrBytes + dataBytes <= blockSize ? DataLayout.inline : DataLayout.plain
}

/** With all that stands behind the inode. */
const bytesOfInode = (tree: LayerTree, node: number, layout: number, xattrBytes: number, dataBytes: number): number => {
  if (layout === DataLayout.chunks) return chunkedInodeBytes(tree.size[node] ?? 0, xattrBytes)
  return inodeBytes + xattrBytes + (layout === DataLayout.inline ? dataBytes : 0)
}

/** A path of a node, for people. */
const pathOf = (tree: LayerTree, node: number): string => {
  const components: Array<string> = []
  for (let at = node; at !== 0; at = tree.parent[at] ?? 0) components.unshift(nameOf(tree, tree.parent[at] ?? 0, at))
  return components.join("/")
}

const nameOf = (tree: LayerTree, directory: number, node: number): string => {
  const dirent = tree.direntNode.indexOf(node, tree.firstDirent[directory] ?? 0)
  const start = tree.nameOffset[dirent] ?? 0
  return new TextDecoder().decode(tree.bytes.slice(start, start + (tree.nameLength[dirent] ?? 0)))
}

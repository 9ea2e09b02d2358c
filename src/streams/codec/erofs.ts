/**
 * Writes the file tree of a layer as an EROFS image that holds metadata only: the data of files stay where they are, in the layer's
 * uncompressed stream, which is mounted as the image's extra device (linux/fs/erofs; erofs-mount spec).
 *
 * Blocks have 512 bytes, as a tar's. The root comes first: its number has 16 bits.
 */
import * as Result from "effect/Result"
import type { OpaqueXattr } from "../../services/FuseDriver.ts"
import type { LayerTree } from "../../services/LayerTree.ts"
import { opaqueKeys } from "../nodeXattrs.ts"
import { writeDirectory } from "./erofsDirectory.ts"
import { chunkFormat, DataLayout, inodeBytes, writeChunkIndexes, writeInode } from "./erofsInode.ts"
import {
  directoryType,
  notExpressible,
  type NotExpressible,
  type Placement,
  placeNodes,
  regularType,
  symlinkType,
  typeOf
} from "./erofsPlacement.ts"
import { blockSize, slotBytes, writeHead } from "./erofsSuperblock.ts"
import { writeXattrs, xattrCountOf } from "./erofsXattr.ts"

export type { NotExpressible } from "./erofsPlacement.ts"

export interface ErofsOptions {
  /** Bytes of the extra device: the layer's uncompressed stream, rounded up to 512. */
  readonly streamSize: number
  readonly opaqueXattr: OpaqueXattr
  /** 16 bytes that tell layers apart; without them files get another inode number in an overlay once they are copied up. */
  readonly uuid?: Uint8Array
}

/** Block numbers have 32 bits; all of them set mean a hole. */
const maxDeviceBlocks = 0xffff_fffe

/** The image of a tree. Memory in use is the image and 13 bytes for each node. */
export const writeErofs = (
  tree: LayerTree,
  options: ErofsOptions
): Result.Result<Uint8Array<ArrayBuffer>, NotExpressible> => {
  const deviceBlocks = Math.ceil(options.streamSize / blockSize)
  if (deviceBlocks > maxDeviceBlocks) return notExpressible("", `a layer of ${options.streamSize} bytes`)
  const opaqueMarks = opaqueKeys(options.opaqueXattr)
  return Result.map(placeNodes(tree, deviceBlocks, opaqueMarks), (placement) => {
    const bytes = new Uint8Array(placement.blocks * blockSize)
    const image: Image = { bytes, view: new DataView(bytes.buffer), tree, placement, opaqueMarks }
    writeHead(image.view, {
      rootNid: placement.nids[0] ?? 0,
      inodes: tree.nodeCount,
      blocks: placement.blocks,
      deviceBlocks,
      uuid: options.uuid
    })
    let block = placement.dataBlock
    for (let node = 0; node < tree.nodeCount; node++) block += writeNode(image, node, block)
    return bytes
  })
}

interface Image {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly view: DataView<ArrayBuffer>
  readonly tree: LayerTree
  readonly placement: Placement
  readonly opaqueMarks: ReadonlyArray<Uint8Array>
}

/** Writes a node, its own blocks from `block` on; returns how many those are. */
const writeNode = (image: Image, node: number, block: number): number => {
  const { bytes, view, tree, placement, opaqueMarks } = image
  const at = (placement.nids[node] ?? 0) * slotBytes
  const xattrBytes = placement.xattrBytes[node] ?? 0
  if (xattrBytes > 0) writeXattrs(bytes, at + inodeBytes, tree, node, opaqueMarks)

  const layout = placement.layouts[node] ?? 0
  const dataBytes = placement.dataBytes[node] ?? 0
  const ownBlocks = layout === DataLayout.plain ? Math.ceil(dataBytes / blockSize) : 0
  const dataAt = ownBlocks > 0 ? block * blockSize : at + inodeBytes + xattrBytes
  let size = dataBytes
  let dataWord = ownBlocks > 0 ? block : 0
  switch (typeOf(tree, node)) {
    case directoryType:
      writeDirectory(view, dataAt, tree, node, placement.nids)
      break
    case symlinkType:
      writeTarget(bytes, dataAt, tree, node)
      break
    case regularType:
      size = tree.size[node] ?? 0
      if (size === 0) break
      dataWord = chunkFormat(size)
      writeChunkIndexes(view, at, { size, dataOffset: tree.dataOffset[node] ?? 0, xattrBytes })
      break
    default:
      dataWord = tree.rdev[node] ?? 0
  }
  writeInode(view, at, tree, node, { layout, size, dataWord, xattrCount: xattrCountOf(xattrBytes) })
  return ownBlocks
}

const writeTarget = (bytes: Uint8Array, at: number, tree: LayerTree, node: number): void => {
  const start = tree.targetOffset[node] ?? 0
  bytes.set(tree.bytes.subarray(start, start + (tree.targetLength[node] ?? 0)), at)
}

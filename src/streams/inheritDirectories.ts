/**
 * Gives directories that a layer only implies the attributes they have in the layers below.
 *
 * A tar may hold `usr/bin/x` without `usr/`: unpacked upon the layers below, `/usr` keeps its owner, mode, times and xattrs. In an overlay the
 * topmost directory is the one that is seen, so the layer's own tree must carry them.
 */
import { type LayerTree, noEntry, rootNode } from "../services/LayerTree.ts"
import { lookupChild, viewLayerTree } from "./layerTreeView.ts"

const typeMask = 0o170000
const directoryType = 0o040000

interface Place {
  readonly tree: LayerTree
  readonly node: number
}

const isDirectory = ({ tree, node }: Place) => ((tree.mode[node] ?? 0) & typeMask) === directoryType

/** The directories of the layers below that are merged under one name of their common directory, topmost first. */
const mergedBelow = (directories: ReadonlyArray<Place>, name: Uint8Array): ReadonlyArray<Place> => {
  const merged: Array<Place> = []
  for (const { tree, node } of directories) {
    const child = { tree, node: lookupChild(tree, node, name) }
    if (child.node < 0) continue
    if (!isDirectory(child)) break
    merged.push(child)
    if (tree.opaque[child.node] === 1) break
  }
  return merged
}

/** Implied directories of a tree with the directory below that they stand for. */
const findInherited = (tree: LayerTree, below: ReadonlyArray<LayerTree>): ReadonlyMap<number, Place> => {
  const inherited = new Map<number, Place>()
  const waiting = [{ node: rootNode, merged: below.map((lower): Place => ({ tree: lower, node: rootNode })) }]
  for (const { node, merged } of waiting) {
    const [topmost] = merged
    if (topmost === undefined) continue
    if (tree.entry[node] === noEntry) inherited.set(node, topmost)
    if (tree.opaque[node] === 1) continue
    const first = tree.firstDirent[node] ?? 0
    for (let dirent = first; dirent < first + (tree.direntLength[node] ?? 0); dirent++) {
      const child = { tree, node: tree.direntNode[dirent] ?? rootNode }
      if (!isDirectory(child)) continue
      const start = tree.nameOffset[dirent] ?? 0
      const name = tree.bytes.subarray(start, start + (tree.nameLength[dirent] ?? 0))
      waiting.push({ node: child.node, merged: [...mergedBelow(merged, name)] })
    }
  }
  return inherited
}

/** A copy of the tree with room for more bytes behind its own. */
const copyTree = (tree: LayerTree, moreBytes: number): LayerTree => {
  const buffer = new SharedArrayBuffer(tree.buffer.byteLength + moreBytes)
  new Uint8Array(buffer).set(new Uint8Array(tree.buffer))
  return viewLayerTree(buffer)
}

const withInherited = (tree: LayerTree, inherited: ReadonlyMap<number, Place>): LayerTree => {
  let at = tree.bytes.length
  let moreBytes = 0
  for (const { tree: lower, node } of inherited.values()) moreBytes += lower.xattrLength[node] ?? 0
  const copy = copyTree(tree, moreBytes)
  for (const [node, { tree: lower, node: other }] of inherited) {
    copy.mode[node] = lower.mode[other] ?? 0
    copy.uid[node] = lower.uid[other] ?? 0
    copy.gid[node] = lower.gid[other] ?? 0
    copy.mtimeSeconds[node] = lower.mtimeSeconds[other] ?? 0
    copy.mtimeNanoseconds[node] = lower.mtimeNanoseconds[other] ?? 0
    const start = lower.xattrOffset[other] ?? 0
    const length = lower.xattrLength[other] ?? 0
    copy.bytes.set(lower.bytes.subarray(start, start + length), at)
    copy.xattrOffset[node] = at
    copy.xattrLength[node] = length
    at += length
  }
  return copy
}

/** The trees of an image's layers, bottom first, as they have to be stacked. A tree that implies nothing stays the same object. */
export const inheritDirectories = (trees: ReadonlyArray<LayerTree>): ReadonlyArray<LayerTree> => {
  const stacked: Array<LayerTree> = []
  for (const tree of trees) {
    const inherited = findInherited(tree, stacked.toReversed())
    stacked.push(inherited.size === 0 ? tree : withInherited(tree, inherited))
  }
  return stacked
}

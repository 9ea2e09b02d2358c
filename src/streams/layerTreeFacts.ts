/**
 * What file systems say of a tree's nodes. Nothing is imported at run time, so that a reader thread starts with this file alone.
 */
import type { LayerTree } from "../services/LayerTree.ts"
import type { FuseAttributes } from "./codec/fuseReply.ts"

const typeMask = 0o170000

/** File types as modes have them. */
export const FileType = { regular: 0o100000, directory: 0o040000, symlink: 0o120000 } as const

export const isOfType = (tree: LayerTree, node: number, type: number): boolean =>
  ((tree.mode[node] ?? 0) & typeMask) === type

/** A file's number is its node's plus one, today and in any later process: 0 is none. */
export const attributesOf = (tree: LayerTree, node: number): FuseAttributes => ({
  node: node + 1,
  size: tree.size[node] ?? 0,
  seconds: tree.mtimeSeconds[node] ?? 0,
  nanoseconds: tree.mtimeNanoseconds[node] ?? 0,
  mode: tree.mode[node] ?? 0,
  nlink: tree.nlink[node] ?? 1,
  uid: tree.uid[node] ?? 0,
  gid: tree.gid[node] ?? 0,
  rdev: tree.rdev[node] ?? 0
})

/** The name of a directory entry, a view of the tree's bytes. */
export const nameOf = (tree: LayerTree, dirent: number): Uint8Array => {
  const start = tree.nameOffset[dirent] ?? 0
  return tree.bytes.subarray(start, start + (tree.nameLength[dirent] ?? 0))
}

/** Where a symbolic link points to, a view of the tree's bytes. */
export const targetOf = (tree: LayerTree, node: number): Uint8Array => {
  const start = tree.targetOffset[node] ?? 0
  return tree.bytes.subarray(start, start + (tree.targetLength[node] ?? 0))
}

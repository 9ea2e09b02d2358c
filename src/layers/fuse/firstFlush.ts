/**
 * Gets over with the only FLUSH that a tree is ever sent.
 *
 * Kernels flush files that are closed until they are told that it is not needed, and wait for the answer. A process that is killed while it
 * has a file of its own mount open would be asked by its own end, and could never end.
 */
import { Effect } from "effect"
import { open } from "node:fs/promises"
import type { LayerTree } from "../../services/LayerTree.ts"

const typeMask = 0o170000
const regularType = 0o100000
const root = 0

/** Opens a file of a mounted tree and closes it. Where there is none, there is nothing to flush either. */
export const takeFirstFlush = (mountPoint: string, tree: LayerTree): Effect.Effect<void> => {
  const file = tree.mode.findIndex((mode) => (mode & typeMask) === regularType)
  if (file < 0) return Effect.void
  const path = pathOf(mountPoint, tree, file)
  // A path may be too long to be opened: whoever opens the file otherwise is on his own.
  return Effect.ignore(Effect.tryPromise(async () => (await open(path)).close()))
}

/** Names are bytes. */
const pathOf = (mountPoint: string, tree: LayerTree, file: number): Buffer => {
  const names: Array<Uint8Array> = []
  for (let node = file; node !== root; node = tree.parent[node] ?? root) {
    const dirent = tree.direntNode.indexOf(node, tree.firstDirent[tree.parent[node] ?? root] ?? 0)
    const start = tree.nameOffset[dirent] ?? 0
    names.unshift(tree.bytes.slice(start, start + (tree.nameLength[dirent] ?? 0)))
  }
  const slash = Buffer.from("/")
  return Buffer.concat([Buffer.from(mountPoint), ...names.flatMap((name) => [slash, name])])
}

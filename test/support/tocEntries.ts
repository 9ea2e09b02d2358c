/**
 * Entries of a table of contents, and a layer's tree in a form that can be compared.
 */
import { Result } from "effect"
import type { LayerTree } from "../../src/services/LayerTree.ts"
import type { EntryType, TocEntry } from "../../src/services/Ztoc.ts"
import { buildLayerTree } from "../../src/streams/layerTree.ts"

/** An entry with a name and a type; everything else may be given. */
export const entry = (name: string, type: EntryType, rest: Partial<TocEntry> = {}): TocEntry => ({
  name,
  type,
  offset: 512,
  size: 0,
  linkname: "",
  mode: type === "dir" ? 0o755n : 0o644n,
  uid: 0,
  gid: 0,
  uname: "",
  gname: "",
  modTime: "2023-11-14T22:13:20Z",
  devmajor: 0n,
  devminor: 0n,
  pax: [],
  ...rest
})

export const file = (name: string, rest: Partial<TocEntry> = {}) => entry(name, "reg", rest)
export const directory = (name: string, rest: Partial<TocEntry> = {}) => entry(name, "dir", rest)
export const symlink = (name: string, linkname: string, rest: Partial<TocEntry> = {}) =>
  entry(name, "symlink", { linkname, mode: 0o777n, ...rest })
export const hardLink = (name: string, linkname: string, rest: Partial<TocEntry> = {}) =>
  entry(name, "hardlink", { linkname, ...rest })

export const treeOf = (...entries: ReadonlyArray<TocEntry>): LayerTree => Result.getOrThrow(buildLayerTree(entries))

export const refusalOf = (...entries: ReadonlyArray<TocEntry>): string => {
  const built = buildLayerTree(entries)
  return Result.isFailure(built) ? built.failure.reason : ""
}

const types: ReadonlyMap<number, string> = new Map([
  [0o100000, "file"],
  [0o040000, "directory"],
  [0o120000, "symlink"],
  [0o020000, "char"],
  [0o060000, "block"],
  [0o010000, "fifo"]
])

const textAt = (tree: LayerTree, start = 0, length = 0) =>
  Buffer.from(tree.bytes.slice(start, start + length)).toString("latin1")

export const nameOf = (tree: LayerTree, dirent: number): string =>
  textAt(tree, tree.nameOffset[dirent], tree.nameLength[dirent])

export const xattrsAt = (tree: LayerTree, node: number): Record<string, string> => {
  const packed = Buffer.from(textAt(tree, tree.xattrOffset[node], tree.xattrLength[node]), "latin1")
  const xattrs: Record<string, string> = {}
  for (let at = 0; at < packed.length;) {
    const key = at + 6
    const value = key + packed.readUInt16LE(at)
    const end = value + packed.readUInt32LE(at + 2)
    xattrs[packed.toString("latin1", key, value)] = packed.toString("latin1", value, end)
    at = end
  }
  return xattrs
}

/** What `stat` and `readlink` would say, in a line. */
export const describeNode = (tree: LayerTree, node: number): string => {
  const mode = tree.mode[node] ?? 0
  const type = types.get(mode & 0o170000) ?? "?"
  const target = textAt(tree, tree.targetOffset[node], tree.targetLength[node])
  return [
    type,
    (mode & 0o7777).toString(8),
    `${tree.uid[node]}:${tree.gid[node]}`,
    `links=${tree.nlink[node]}`,
    ...(type === "file" ? [`size=${tree.size[node]}`] : []),
    ...(target === "" ? [] : [`-> ${target}`]),
    ...(tree.opaque[node] === 1 ? ["opaque"] : [])
  ].join(" ")
}

/** Each path of a tree with the number of its node. */
export const nodesOf = (tree: LayerTree): ReadonlyMap<string, number> => {
  const nodes = new Map([["", 0]])
  for (const [path, node] of nodes) {
    const first = tree.firstDirent[node] ?? 0
    for (let dirent = first; dirent < first + (tree.direntLength[node] ?? 0); dirent++) {
      const name = nameOf(tree, dirent)
      nodes.set(path === "" ? name : `${path}/${name}`, tree.direntNode[dirent] ?? -1)
    }
  }
  return nodes
}

/** Each path below the root with its line. */
export const listing = (tree: LayerTree): Record<string, string> =>
  Object.fromEntries(
    [...nodesOf(tree)].filter(([path]) => path !== "").map(([path, node]) => [path, describeNode(tree, node)])
  )

/** Only the paths, in order of their nodes' discovery. */
export const paths = (tree: LayerTree): ReadonlyArray<string> => Object.keys(listing(tree))

/**
 * Numbers the files of a finished tree and writes it out in columns.
 *
 * Numbers follow the tree alone: breadth first from the root, names in ascending byte order.
 */
import { Result } from "effect"
import { InvalidTree, type LayerTree, noEntry } from "../services/LayerTree.ts"
import type { TocEntry } from "../services/Ztoc.ts"
import { parseModTime } from "./layerTreeModTime.ts"
import type { Inode, Name } from "./layerTreeNames.ts"
import { allocateLayerTree } from "./layerTreeView.ts"
import { packedSize, packXattrs, type Xattr, xattrsOf } from "./layerTreeXattrs.ts"

const typeBits: ReadonlyMap<string, number> = new Map([
  ["symlink", 0o120000],
  ["char", 0o020000],
  ["block", 0o060000],
  ["fifo", 0o010000]
])
const regularType = 0o100000
const characterDevice = 0o020000
const directoryType = 0o040000

interface Dirents {
  readonly directory: Inode
  readonly parent: Inode
  readonly first: number
  readonly length: number
  readonly subdirectories: number
}

interface Numbered {
  readonly inodes: ReadonlyArray<Inode>
  readonly names: ReadonlyArray<Name>
  readonly directories: ReadonlyArray<Dirents>
}

/** Writes the tree below `root`, whose inodes refer to `entries`. */
export const layOutTree = (root: Name, entries: ReadonlyArray<TocEntry>): Result.Result<LayerTree, InvalidTree> => {
  const numbered = numberNodes(root)
  const xattrs = new Map<Inode, ReadonlyArray<Xattr>>()
  let byteCount = 0
  for (const name of numbered.names) byteCount += baseLength(name)
  for (const inode of numbered.inodes) {
    const found = xattrsOf(inode, entries)
    if (typeof found === "string") {
      return Result.fail(new InvalidTree({ entry: entries[inode.data]?.name ?? "", reason: found }))
    }
    if (found.length > 0) xattrs.set(inode, found)
    byteCount += inode.target.length + packedSize(found)
  }
  if (byteCount > 0xffff_ffff) {
    return Result.fail(new InvalidTree({ entry: "", reason: `names and xattrs of ${byteCount} bytes` }))
  }
  const tree = allocateLayerTree(numbered.inodes.length, numbered.names.length, byteCount)
  const bytes = Buffer.from(tree.buffer, tree.bytes.byteOffset, byteCount)
  const used = writeNames(tree, bytes, numbered)
  writeNodes(tree, bytes, used, numbered.inodes, entries, xattrs)
  return Result.succeed(tree)
}

const baseStart = ({ parent }: Name) => (parent === undefined || parent.path === "" ? 0 : parent.path.length + 1)
const baseLength = (name: Name) => name.path.length - baseStart(name)

const compareByPath = (one: Name, other: Name) => (one.path < other.path ? -1 : 1)

const numberNodes = (root: Name): Numbered => {
  const inodes: Array<Inode> = [root.inode]
  const names: Array<Name> = []
  const directories: Array<Dirents> = []
  const waiting = [root]
  root.inode.number = 0
  for (const directory of waiting) {
    const children: Array<Name> = []
    for (let child = directory.firstChild; child !== undefined; child = child.next) children.push(child)
    const first = names.length
    let subdirectories = 0
    for (const child of children.sort(compareByPath)) {
      names.push(child)
      child.inode.links++
      if (child.inode.number < 0) {
        child.inode.number = inodes.length
        inodes.push(child.inode)
      }
      if (child.inode.kind !== "directory") continue
      subdirectories++
      waiting.push(child)
    }
    const parent = directory.parent?.inode ?? directory.inode
    directories.push({ directory: directory.inode, parent, first, length: children.length, subdirectories })
  }
  return { inodes, names, directories }
}

/** Writes dirents and what only directories have; returns the bytes that names took. */
const writeNames = (tree: LayerTree, bytes: Buffer, { names, directories }: Numbered): number => {
  let at = 0
  for (const [dirent, name] of names.entries()) {
    const length = baseLength(name)
    tree.direntNode[dirent] = name.inode.number
    tree.nameOffset[dirent] = at
    tree.nameLength[dirent] = length
    bytes.write(length === name.path.length ? name.path : name.path.slice(-length), at, "latin1")
    at += length
    if (name.inode.kind !== "directory") tree.parent[name.inode.number] = name.parent?.inode.number ?? 0
  }
  for (const { directory, parent, first, length, subdirectories } of directories) {
    tree.firstDirent[directory.number] = first
    tree.direntLength[directory.number] = length
    tree.parent[directory.number] = parent.number
    tree.nlink[directory.number] = 2 + subdirectories
  }
  return at
}

const writeNodes = (
  tree: LayerTree,
  bytes: Buffer,
  used: number,
  inodes: ReadonlyArray<Inode>,
  entries: ReadonlyArray<TocEntry>,
  xattrs: ReadonlyMap<Inode, ReadonlyArray<Xattr>>
): void => {
  let at = used
  for (const [node, inode] of inodes.entries()) {
    if (inode.kind !== "directory") tree.nlink[node] = inode.links
    tree.opaque[node] = inode.opaque ? 1 : 0
    const entry = inode.kind === "directory" ? inode.attributes : inode.data
    tree.entry[node] = entry < 0 ? noEntry : entry
    writeData(tree, node, inode, entries[inode.data])
    writeAttributes(tree, node, inode, entries)
    tree.targetOffset[node] = at
    tree.targetLength[node] = inode.target.length
    at += bytes.write(inode.target, at, "latin1")
    const own = xattrs.get(inode) ?? []
    tree.xattrOffset[node] = at
    at += packXattrs(own, bytes, at)
    tree.xattrLength[node] = at - (tree.xattrOffset[node] ?? 0)
  }
}

/** Linux's 32-bit encoding of a device number; higher bits are cut, as `mknod` does. */
const encodeDevice = (entry: TocEntry): number => {
  const major = Number(BigInt.asUintN(12, entry.devmajor))
  const minor = Number(BigInt.asUintN(20, entry.devminor))
  return ((minor & 0xff) | (major << 8) | ((minor & 0xfff00) << 12)) >>> 0
}

const writeData = (tree: LayerTree, node: number, inode: Inode, entry: TocEntry | undefined): void => {
  tree.size[node] = inode.target.length
  if (entry === undefined || inode.kind !== "other") return
  if (entry.type === "char" || entry.type === "block") {
    tree.rdev[node] = encodeDevice(entry)
  } else if (entry.type !== "fifo") {
    tree.size[node] = entry.size
    tree.dataOffset[node] = entry.offset
  }
}

const typeOf = (inode: Inode, entries: ReadonlyArray<TocEntry>): number =>
  inode.kind === "directory" ? directoryType : (typeBits.get(entries[inode.data]?.type ?? "") ?? regularType)

const writeAttributes = (tree: LayerTree, node: number, inode: Inode, entries: ReadonlyArray<TocEntry>): void => {
  const entry = entries[inode.attributes]
  if (inode.kind === "whiteout") {
    tree.mode[node] = characterDevice
    return
  }
  if (entry === undefined) {
    tree.mode[node] = directoryType | 0o755
    return
  }
  // Linux gives each symbolic link these permissions, whatever the tar says.
  const permissions = inode.kind === "symlink" ? 0o777 : Number(BigInt.asUintN(12, entry.mode))
  tree.mode[node] = typeOf(inode, entries) | permissions
  tree.uid[node] = entry.uid
  tree.gid[node] = entry.gid
  const { seconds, nanoseconds } = parseModTime(entry.modTime)
  tree.mtimeSeconds[node] = seconds
  tree.mtimeNanoseconds[node] = nanoseconds
}

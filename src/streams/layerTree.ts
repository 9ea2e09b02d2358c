/**
 * Builds the file tree of a layer from its table of contents.
 *
 * The tree is what containerd's overlay unpacker would have made of the same tar (lazy-filesystem spec, 5.2): entries in archive
 * order, a later one replaces an earlier one, parents reached through symbolic links inside the layer. Where the unpacker would fail,
 * there is no tree, with two exceptions: a hard link may come before its target, and a real entry may come before a
 * whiteout of its name, which is then without effect.
 */
import { Result } from "effect"
import { InvalidTree, type LayerTree } from "../services/LayerTree.ts"
import type { TocEntry } from "../services/Ztoc.ts"
import { ZtocLimits } from "../services/ZtocLimits.ts"
import { layOutTree } from "./layerTreeLayout.ts"
import { cleanPath, GrowingNames, isRefusal, makeInode, type Name, type Refusal } from "./layerTreeNames.ts"

const whiteoutPrefix = ".wh."
/** What aufs kept for itself; of it only the opaque mark has a meaning. */
const metadataPrefix = ".wh..wh."
const opaqueMark = ".wh..wh..opq"
const belowMetadata = /(?:^|\/)\.wh\.\.wh\.[^/]*\//
/** A link's target and its NUL fill PATH_MAX. */
const maxTargetBytes = ZtocLimits.pathBytes - 1

/** The tree of entries that stand in the order of the archive. */
export const buildLayerTree = (entries: ReadonlyArray<TocEntry>): Result.Result<LayerTree, InvalidTree> => {
  const names = new GrowingNames(entries.length)
  const forwardLinks: Array<Name> = []

  for (const [index, entry] of entries.entries()) {
    const applied = applyEntry(names, entries, index, entry)
    if (applied === undefined) continue
    if (isRefusal(applied)) return invalid(entry, applied.reason)
    if (applied.inode.kind === "pending") forwardLinks.push(applied)
  }
  for (const link of forwardLinks) {
    const resolved = resolveForwardLink(names, entries, link)
    if (resolved !== undefined) return invalid(entries[link.inode.data], resolved.reason)
  }
  return layOutTree(names.root, entries)
}

const invalid = (entry: TocEntry | undefined, reason: string) =>
  Result.fail(new InvalidTree({ entry: entry?.name.slice(0, ZtocLimits.pathBytes) ?? "", reason }))

const applyEntry = (
  names: GrowingNames,
  entries: ReadonlyArray<TocEntry>,
  index: number,
  entry: TocEntry
): Name | Refusal | undefined => {
  if (entry.name.length > ZtocLimits.pathBytes) return { reason: `its name has ${entry.name.length} bytes` }
  if (entry.name.includes("\0")) return { reason: "its name contains NUL" }
  const cleaned = cleanPath(entry.name)
  if (belowMetadata.test(cleaned)) return undefined
  if (cleaned === "") {
    // An unpacker leaves the root as it is; ours has no other source for its owner, permissions and time.
    if (entry.type === "dir") replaceAttributes(names.root, entries, index)
    return undefined
  }
  const slash = cleaned.lastIndexOf("/")
  const base = cleaned.slice(slash + 1)
  const parent = names.directory(cleaned.slice(0, Math.max(slash, 0)))
  if (isRefusal(parent)) return parent
  if (base === opaqueMark) {
    parent.inode.opaque = true
    return undefined
  }
  if (base.startsWith(metadataPrefix)) return undefined
  if (base.startsWith(whiteoutPrefix)) return applyWhiteout(names, parent, base.slice(whiteoutPrefix.length), index)
  return applyReal(names, entries, parent, childPath(parent, base), index, entry)
}

const childPath = (parent: Name, base: string) => (parent.path === "" ? base : `${parent.path}/${base}`)

const applyWhiteout = (names: GrowingNames, parent: Name, hidden: string, index: number) => {
  // These name nothing that could be hidden.
  if (hidden === "" || hidden === "." || hidden === "..") return undefined
  const path = childPath(parent, hidden)
  return names.get(path) === undefined ? names.put(parent, path, makeInode("whiteout", index)) : undefined
}

const applyReal = (
  names: GrowingNames,
  entries: ReadonlyArray<TocEntry>,
  parent: Name,
  path: string,
  index: number,
  entry: TocEntry
): Name | Refusal | undefined => {
  switch (entry.type) {
    case "dir": {
      const existing = names.get(path)
      if (existing?.inode.kind !== "directory") return names.put(parent, path, makeInode("directory", index))
      replaceAttributes(existing, entries, index)
      return undefined
    }
    case "symlink": {
      const wrong = checkTarget(entry.linkname, maxTargetBytes)
      return wrong ?? names.put(parent, path, makeInode("symlink", index, entry.linkname))
    }
    case "hardlink":
      return applyHardLink(names, entries, parent, path, index, entry)
    default:
      return names.put(parent, path, makeInode("other", index))
  }
}

const checkTarget = (target: string, limit: number): Refusal | undefined => {
  if (target === "") return { reason: "it links to nothing" }
  if (target.length > limit) return { reason: `it links to a name of ${target.length} bytes` }
  if (target.includes("\0")) return { reason: "it links to a name with NUL" }
  return undefined
}

const applyHardLink = (
  names: GrowingNames,
  entries: ReadonlyArray<TocEntry>,
  parent: Name,
  path: string,
  index: number,
  entry: TocEntry
): Name | Refusal => {
  const wrong = checkTarget(entry.linkname, ZtocLimits.pathBytes)
  if (wrong !== undefined) return wrong
  // The name is free before its target is looked for: a link cannot lie on the way to itself.
  const link = names.put(parent, path, makeInode("pending", index))
  if (isRefusal(link)) return link
  const target = linkTarget(names, entry.linkname)
  if (target === undefined) return link
  if (isRefusal(target)) return target
  if (target.inode.kind === "directory") return linkToDirectory(entry)
  link.inode = target.inode
  if (link.inode.kind !== "pending") replaceAttributes(link, entries, index)
  return link
}

const linkToDirectory = (entry: TocEntry): Refusal => ({
  reason: `a hard link to the directory "${entry.linkname}"`
})

/** The name a hard link links to: parents are followed inside the root, a link at the end is not. */
const linkTarget = (names: GrowingNames, linkname: string): Name | Refusal | undefined => {
  const direct = names.get(linkname)
  if (direct !== undefined) return direct
  const slash = linkname.lastIndexOf("/")
  const base = linkname.slice(slash + 1)
  const directory = names.follow(linkname.slice(0, slash + 1))
  if (typeof directory !== "string") return directory
  if (base === "" || base === ".") return names.get(directory)
  if (base === "..") return names.get(directory.slice(0, Math.max(directory.lastIndexOf("/"), 0)))
  return names.get(directory === "" ? base : `${directory}/${base}`)
}

/** What an unpacker does to a file that is there: owner, permissions and time become the entry's, xattrs are added. */
const replaceAttributes = (name: Name, entries: ReadonlyArray<TocEntry>, index: number): void => {
  const { inode } = name
  const before = entries[inode.attributes]
  if (before !== undefined && before.pax.length > 0) (inode.earlier ??= []).push(inode.attributes)
  inode.attributes = index
}

/** Gives a link that came before its target, and those it waits for, the file that the names lead to in the end. */
const resolveForwardLink = (names: GrowingNames, entries: ReadonlyArray<TocEntry>, link: Name): Refusal | undefined => {
  const waiting = new Set<Name>()
  let name = link
  while (name.inode.kind === "pending" && names.get(name.path) === name) {
    const entry = entries[name.inode.data]
    if (entry === undefined) return { reason: "a link without an entry" }
    if (waiting.has(name)) return { reason: `its hard link to "${entry.linkname}" comes back to itself` }
    waiting.add(name)
    const target = linkTarget(names, entry.linkname)
    if (target === undefined) return { reason: `a hard link to "${entry.linkname}", which is not in the layer` }
    if (isRefusal(target)) return target
    if (target.inode.kind === "directory") return linkToDirectory(entry)
    name = target
  }
  if (name !== link) for (const one of waiting) one.inode = name.inode
  return undefined
}

/**
 * The extended attributes of a layer's files, out of their PAX records (`SCHILY.xattr.` and the name).
 */
import type { TocEntry } from "../services/Ztoc.ts"
import type { Inode } from "./layerTreeNames.ts"

export type Xattr = readonly [key: string, value: string]

const paxPrefix = "SCHILY.xattr."
/**
 * Namespaces a file can have attributes in. `trusted` is not among them: containerd does not set it either, and it would let a layer
 * speak to overlayfs (redirects, metadata-only copies).
 */
const namespaces = ["user.", "security.", "system."]
/** Limits of Linux (limits.h: XATTR_NAME_MAX, XATTR_SIZE_MAX). */
const maxKeyBytes = 255
const maxValueBytes = 65_536

const isXattr = ([record]: Xattr) => record.startsWith(paxPrefix)

/** The xattrs of a file in ascending order of their keys, or why it cannot have them. */
export const xattrsOf = (inode: Inode, entries: ReadonlyArray<TocEntry>): ReadonlyArray<Xattr> | string => {
  if (inode.kind === "whiteout") return []
  const own = entries[inode.attributes]?.pax ?? []
  if (inode.earlier === undefined && !own.some(isXattr)) return []
  const found = new Map<string, string>()
  for (const index of [...(inode.earlier ?? []), inode.attributes]) {
    for (const [record, value] of entries[index]?.pax ?? []) {
      if (!record.startsWith(paxPrefix)) continue
      const key = record.slice(paxPrefix.length)
      if (!namespaces.some((namespace) => key.startsWith(namespace) && key.length > namespace.length)) continue
      if (key.length > maxKeyBytes || key.includes("\0")) return "an extended attribute whose name cannot be set"
      if (value.length > maxValueBytes) return `the extended attribute ${key} has ${value.length} bytes`
      found.set(key, value)
    }
  }
  return [...found].sort(([one], [other]) => (one < other ? -1 : 1))
}

const fixedBytes = 6

export const packedSize = (xattrs: ReadonlyArray<Xattr>): number =>
  xattrs.reduce((sum, [key, value]) => sum + fixedBytes + key.length + value.length, 0)

/** Writes u16 key length, u32 value length, key and value of each; returns the bytes used. */
export const packXattrs = (xattrs: ReadonlyArray<Xattr>, bytes: Buffer, start: number): number => {
  let at = start
  for (const [key, value] of xattrs) {
    bytes.writeUInt16LE(key.length, at)
    bytes.writeUInt32LE(value.length, at + 2)
    at += fixedBytes
    at += bytes.write(key, at, "latin1")
    at += bytes.write(value, at, "latin1")
  }
  return at - start
}

/**
 * Extended attributes of EROFS inodes, inline behind them (linux/fs/erofs/erofs_fs.h).
 */
import type { LayerTree } from "../../services/LayerTree.ts"
import { shownXattrs } from "../nodeXattrs.ts"

const headerBytes = 12
const entryBytes = 4
/** What an inode's 16-bit count can say. */
const maxAreaBytes = headerBytes + (0xffff - 1) * 4
const maxValueBytes = 0xffff

/** Names by number: an entry holds the number and what follows the prefix. */
const prefixes: ReadonlyArray<readonly [prefix: string, index: number, whole: boolean]> = [
  ["user.", 1, false],
  ["system.posix_acl_access", 2, true],
  ["system.posix_acl_default", 3, true],
  ["trusted.", 4, false],
  ["security.", 6, false]
]

const startsWith = (key: Uint8Array, prefix: string): boolean => {
  for (let i = 0; i < prefix.length; i++) if (key[i] !== prefix.charCodeAt(i)) return false
  return true
}

const prefixOf = (key: Uint8Array) =>
  prefixes.find(([prefix, , whole]) =>
    whole
      ? key.length === prefix.length && startsWith(key, prefix)
      : key.length > prefix.length && startsWith(key, prefix)
  )

const textOf = (key: Uint8Array): string => new TextDecoder().decode(key.slice())

const align = (bytes: number): number => (bytes + 3) & ~3

/** Bytes of a node's xattrs behind its inode, a multiple of 4; or why EROFS cannot hold them. */
export const xattrAreaBytes = (
  tree: LayerTree,
  node: number,
  opaqueMarks: ReadonlyArray<Uint8Array>
): number | string => {
  if (tree.xattrLength[node] === 0 && tree.opaque[node] !== 1) return 0
  let bytes = headerBytes
  for (const { key, value } of shownXattrs(tree, node, opaqueMarks)) {
    const prefix = prefixOf(key)
    if (prefix === undefined) return `EROFS has no place for the extended attribute ${textOf(key)}`
    if (value.length > maxValueBytes) {
      return `the extended attribute ${textOf(key)} has ${value.length} bytes; at most ${maxValueBytes} fit`
    }
    bytes += align(entryBytes + key.length - prefix[0].length + value.length)
    if (bytes > maxAreaBytes) return `extended attributes of more than ${maxAreaBytes} bytes`
  }
  return bytes === headerBytes ? 0 : bytes
}

/** The count that an inode says for an area of that many bytes. */
export const xattrCountOf = (areaBytes: number): number => (areaBytes === 0 ? 0 : (areaBytes - headerBytes) / 4 + 1)

/** Writes a node's xattrs into zeros. */
export const writeXattrs = (
  image: Uint8Array,
  start: number,
  tree: LayerTree,
  node: number,
  opaqueMarks: ReadonlyArray<Uint8Array>
): void => {
  let at = start + headerBytes
  for (const { key, value } of shownXattrs(tree, node, opaqueMarks)) {
    const [prefix, index] = prefixOf(key) ?? ["", 0]
    const suffix = key.subarray(prefix.length)
    image[at] = suffix.length
    image[at + 1] = index
    image[at + 2] = value.length & 0xff
    image[at + 3] = value.length >>> 8
    image.set(suffix, at + entryBytes)
    image.set(value, at + entryBytes + suffix.length)
    at += align(entryBytes + suffix.length + value.length)
  }
}

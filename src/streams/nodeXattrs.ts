/**
 * The extended attributes of a tree's nodes, read from their packed form. Nothing is imported at run time, so that a reader thread starts
 * with this file alone.
 */
import type { OpaqueXattr } from "../services/FuseDriver.ts"
import type { LayerTree } from "../services/LayerTree.ts"

/** Views of the tree's bytes. */
export interface XattrView {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

const fixedBytes = 6

/** What a node has of its own, in ascending order of keys; opaque marks are not among them. */
export function* xattrsOfNode(tree: LayerTree, node: number): Generator<XattrView> {
  let at = tree.xattrOffset[node] ?? 0
  const end = at + (tree.xattrLength[node] ?? 0)
  const { bytes } = tree
  while (at + fixedBytes <= end) {
    const keyLength = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)
    const valueLength =
      (bytes[at + 2] ?? 0) +
      (bytes[at + 3] ?? 0) * 2 ** 8 +
      (bytes[at + 4] ?? 0) * 2 ** 16 +
      (bytes[at + 5] ?? 0) * 2 ** 24
    const value = at + fixedBytes + keyLength
    yield { key: bytes.subarray(at + fixedBytes, value), value: bytes.subarray(value, value + valueLength) }
    at = value + valueLength
  }
}

const encoder = new TextEncoder()
const trustedMark = encoder.encode("trusted.overlay.opaque")
const userMark = encoder.encode("user.overlay.opaque")

/** The names by which overlayfs knows opaque directories, in ascending order. */
export const opaqueKeys = (which: OpaqueXattr): ReadonlyArray<Uint8Array> =>
  which === "all" ? [trustedMark, userMark] : which === "trusted" ? [trustedMark] : [userMark]

/** What the mark says. */
export const opaqueValue: Uint8Array = encoder.encode("y")

const equal = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && one.every((byte, at) => byte === other[at])

/** What a mounted layer shows of a node: the marks of an opaque directory, which the layer cannot overrule, and what the node has. */
export function* shownXattrs(tree: LayerTree, node: number, marks: ReadonlyArray<Uint8Array>): Generator<XattrView> {
  if (tree.opaque[node] !== 1) return yield* xattrsOfNode(tree, node)
  for (const key of marks) yield { key, value: opaqueValue }
  for (const xattr of xattrsOfNode(tree, node)) if (!marks.some((mark) => equal(mark, xattr.key))) yield xattr
}

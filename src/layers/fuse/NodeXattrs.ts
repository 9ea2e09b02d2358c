/**
 * Extended attributes of a tree's nodes, with the marks by which overlayfs knows opaque directories.
 */
import type { OpaqueXattr } from "../../services/FuseDriver.ts"
import type { LayerTree } from "../../services/LayerTree.ts"
import { Errno } from "../../streams/codec/fuse.ts"
import type { FuseReply } from "../../streams/codec/fuseReply.ts"
import type { FuseRequest } from "../../streams/codec/fuseRequest.ts"
import { opaqueKeys, shownXattrs, xattrsOfNode } from "../../streams/nodeXattrs.ts"

const aclPrefix = Buffer.from("system.posix_acl_")

const equal = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0

export class NodeXattrs {
  readonly #tree: LayerTree
  readonly #opaqueKeys: ReadonlyArray<Uint8Array>
  /** Without any, kernels are told not to ask again. */
  readonly #none: boolean
  readonly haveAcl: boolean

  constructor(tree: LayerTree, opaqueXattr: OpaqueXattr) {
    this.#tree = tree
    this.#opaqueKeys = opaqueKeys(opaqueXattr)
    this.#none = !tree.opaque.includes(1) && tree.xattrLength.every((length) => length === 0)
    this.haveAcl = !this.#none && hasAcl(tree)
  }

  get(node: number, request: FuseRequest, reply: FuseReply): number {
    if (this.#none) return -Errno.ENOSYS
    const wanted = request.name(8)
    for (const { key, value } of shownXattrs(this.#tree, node, this.#opaqueKeys)) {
      if (equal(key, wanted)) return send(request, reply, value.length, (body) => body.set(value))
    }
    return -Errno.ENODATA
  }

  list(node: number, request: FuseRequest, reply: FuseReply): number {
    if (this.#none) return -Errno.ENOSYS
    const keys = [...shownXattrs(this.#tree, node, this.#opaqueKeys)].map(({ key }) => key)
    const length = keys.reduce((sum, key) => sum + key.length + 1, 0)
    return send(request, reply, length, (body) => {
      let at = 0
      for (const key of keys) {
        body.set(key, at)
        body[at + key.length] = 0
        at += key.length + 1
      }
    })
  }
}

/** The size alone where none is given, else the bytes, if they fit. */
const send = (request: FuseRequest, reply: FuseReply, length: number, fill: (body: Uint8Array) => void): number => {
  const room = request.uint32(0)
  if (room === 0) return reply.size(length)
  if (length > room || length > reply.body.length) return -Errno.ERANGE
  fill(reply.body)
  return length
}

const hasAcl = (tree: LayerTree): boolean => {
  for (let node = 0; node < tree.nodeCount; node++) {
    if (tree.xattrLength[node] === 0) continue
    for (const { key } of xattrsOfNode(tree, node)) if (equal(key.subarray(0, aclPrefix.length), aclPrefix)) return true
  }
  return false
}

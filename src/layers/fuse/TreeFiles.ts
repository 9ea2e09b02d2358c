/**
 * Answers FUSE requests from a layer's tree: plain synchronous code over shared memory, for the threads that serve /dev/fuse. A file's
 * FUSE number is its node's plus one, today and in any later process.
 */
import type { OpaqueXattr } from "../../services/FuseDriver.ts"
import type { LayerTree } from "../../services/LayerTree.ts"
import { direntType, Errno, isMutation, Opcode } from "../../streams/codec/fuse.ts"
import type { FuseFeatures } from "../../streams/codec/fuseInit.ts"
import { entryBytes, type FuseReply, type FuseStatistics, forever } from "../../streams/codec/fuseReply.ts"
import type { FuseRequest } from "../../streams/codec/fuseRequest.ts"
import { attributesOf, FileType, isOfType, nameOf, targetOf } from "../../streams/layerTreeFacts.ts"
import { lookupChild } from "../../streams/layerTreeView.ts"
import type { FileContent, LayerSource, ServedFiles } from "./ServedFiles.ts"
import { NodeXattrs } from "./NodeXattrs.ts"

const dot = Uint8Array.of(0x2e)
const dotDot = Uint8Array.of(0x2e, 0x2e)

export interface TreeFilesOptions {
  readonly tree: LayerTree
  readonly source: LayerSource
  readonly opaqueXattr: OpaqueXattr
  readonly statistics: FuseStatistics
}

export class TreeFiles implements ServedFiles {
  readonly #tree: LayerTree
  readonly #source: LayerSource
  readonly #statistics: FuseStatistics
  readonly #xattrs: NodeXattrs

  constructor({ tree, source, opaqueXattr, statistics }: TreeFilesOptions) {
    this.#tree = tree
    this.#source = source
    this.#statistics = statistics
    this.#xattrs = new NodeXattrs(tree, opaqueXattr)
  }

  get features(): FuseFeatures {
    return { posixAcl: this.#xattrs.haveAcl, readdirplus: true }
  }

  answer(request: FuseRequest, reply: FuseReply): number {
    const node = request.node - 1
    if (node < 0 || node >= this.#tree.nodeCount) return -Errno.ESTALE
    switch (request.opcode) {
      case Opcode.lookup:
        return this.#lookup(node, request, reply)
      case Opcode.getattr:
        return reply.attributes(attributesOf(this.#tree, node))
      case Opcode.readlink:
        return this.#readlink(node, reply)
      case Opcode.readdir:
        return this.#list(node, request, reply, false)
      case Opcode.readdirplus:
        return this.#list(node, request, reply, true)
      case Opcode.getxattr:
        return this.#xattrs.get(node, request, reply)
      case Opcode.listxattr:
        return this.#xattrs.list(node, request, reply)
      case Opcode.statfs:
        return reply.statistics(this.#statistics)
      case Opcode.release:
      case Opcode.releasedir:
      case Opcode.destroy:
        return 0
      default:
        // ENOSYS to OPEN, OPENDIR, FLUSH and ACCESS tells kernels not to ask again, and to keep what they have cached.
        return isMutation(request.opcode) ? -Errno.EROFS : -Errno.ENOSYS
    }
  }

  contentOf(id: number): FileContent | undefined {
    const node = id - 1
    if (!isOfType(this.#tree, node, FileType.regular)) return undefined
    return { source: this.#source, start: this.#tree.dataOffset[node] ?? 0, size: this.#tree.size[node] ?? 0 }
  }

  #lookup(node: number, request: FuseRequest, reply: FuseReply): number {
    const child = lookupChild(this.#tree, node, request.name(0))
    return child < 0 ? reply.noEntry(0, forever) : reply.entry(0, attributesOf(this.#tree, child), forever)
  }

  #readlink(node: number, reply: FuseReply): number {
    if (!isOfType(this.#tree, node, FileType.symlink)) return -Errno.EINVAL
    const target = targetOf(this.#tree, node)
    reply.body.set(target)
    return target.length
  }

  /** Entries in the tree's order behind `.` and `..`; an entry's cookie is the number of the one after it. */
  #list(node: number, request: FuseRequest, reply: FuseReply, plus: boolean): number {
    if (!isOfType(this.#tree, node, FileType.directory)) return -Errno.ENOTDIR
    const tree = this.#tree
    const limit = Math.min(request.uint32(16), reply.body.length)
    const first = tree.firstDirent[node] ?? 0
    const count = (tree.direntLength[node] ?? 0) + 2
    let at = 0
    for (let index = request.uint64(8); index < count; index++) {
      const dirent = first + index - 2
      const child = index === 0 ? node : index === 1 ? (tree.parent[node] ?? 0) : (tree.direntNode[dirent] ?? 0)
      const name = index === 0 ? dot : index === 1 ? dotDot : nameOf(tree, dirent)
      const start = plus ? at + entryBytes : at
      const length = reply.dirent(start, limit, child + 1, index + 1, direntType(tree.mode[child] ?? 0), name)
      if (length === 0) break
      // Kernels take no entry of the dots.
      if (plus && index < 2) reply.noEntry(at, 0)
      else if (plus) reply.entry(at, attributesOf(this.#tree, child), forever)
      at = start + length
    }
    return at
  }
}

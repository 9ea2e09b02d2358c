/**
 * Answers libfuse from a layer's tree. Files have the numbers that the kernel driver gives them.
 */
import type { OpaqueXattr } from "../../services/FuseDriver.ts"
import type { LayerTree } from "../../services/LayerTree.ts"
import { Errno } from "../../streams/codec/fuse.ts"
import type { FuseAttributes, FuseStatistics } from "../../streams/codec/fuseReply.ts"
import { attributesOf, FileType, isOfType, targetOf } from "../../streams/layerTreeFacts.ts"
import { opaqueKeys, shownXattrs } from "../../streams/nodeXattrs.ts"
import type { NativeEntry } from "../native/fuseNative.ts"
import type { NativeContent, NativeFiles, NativeSource } from "./NativeFiles.ts"
import { PathNames } from "./PathNames.ts"

const nul = Uint8Array.of(0)

export interface NativeTreeOptions {
  readonly tree: LayerTree
  readonly source: NativeSource
  readonly opaqueXattr: OpaqueXattr
  readonly statistics: FuseStatistics
}

export class NativeTree implements NativeFiles {
  readonly #tree: LayerTree
  readonly #source: NativeSource
  readonly #opaqueKeys: ReadonlyArray<Uint8Array>
  /** Without any, kernels are told not to ask again. */
  readonly #noXattrs: boolean
  readonly statistics: FuseStatistics
  readonly names: PathNames

  constructor({ tree, source, opaqueXattr, statistics }: NativeTreeOptions) {
    this.#tree = tree
    this.#source = source
    this.#opaqueKeys = opaqueKeys(opaqueXattr)
    this.#noXattrs = !tree.opaque.includes(1) && tree.xattrLength.every((length) => length === 0)
    this.statistics = statistics
    this.names = new PathNames(tree)
  }

  attributes(path: string): FuseAttributes | number {
    const node = this.names.find(path)
    return node < 0 ? node : attributesOf(this.#tree, node)
  }

  list(path: string): ReadonlyArray<NativeEntry> | number {
    const node = this.names.find(path)
    if (node < 0) return node
    if (!isOfType(this.#tree, node, FileType.directory)) return -Errno.ENOTDIR
    const entry = (name: string, of: number): NativeEntry => ({ name, attributes: attributesOf(this.#tree, of) })
    const children = this.names.list(node).map(([name, child]) => entry(name, child))
    return [entry(".", node), entry("..", this.#tree.parent[node] ?? node), ...children]
  }

  /** Text: a target that is no UTF-8 is shown otherwise than it is. */
  target(path: string): string | number {
    const node = this.names.find(path)
    if (node < 0) return node
    if (!isOfType(this.#tree, node, FileType.symlink)) return -Errno.EINVAL
    return Buffer.from(targetOf(this.#tree, node)).toString("utf8")
  }

  xattr(path: string, key: string): Uint8Array | number {
    if (this.#noXattrs) return -Errno.ENOSYS
    const node = this.names.find(path)
    if (node < 0) return node
    const wanted = Buffer.from(key)
    for (const xattr of shownXattrs(this.#tree, node, this.#opaqueKeys)) {
      if (wanted.equals(xattr.key)) return xattr.value
    }
    return -Errno.ENODATA
  }

  xattrs(path: string): Uint8Array | number {
    if (this.#noXattrs) return -Errno.ENOSYS
    const node = this.names.find(path)
    if (node < 0) return node
    return Buffer.concat([...shownXattrs(this.#tree, node, this.#opaqueKeys)].flatMap(({ key }) => [key, nul]))
  }

  /** Tells kernels not to ask again, and to keep what they have cached. */
  open(): number {
    return -Errno.ENOSYS
  }

  content(path: string): NativeContent | number {
    const node = this.names.find(path)
    if (node < 0) return node
    if (!isOfType(this.#tree, node, FileType.regular)) return -Errno.EIO
    return { source: this.#source, start: this.#tree.dataOffset[node] ?? 0, size: this.#tree.size[node] ?? 0 }
  }
}

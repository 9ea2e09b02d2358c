/**
 * Answers libfuse for a mount with one flat directory: a read-only file for each layer's stream, and small files in memory. Files come and
 * go, their numbers are never used again.
 */
import { Errno, rootId } from "../../streams/codec/fuse.ts"
import type { FuseAttributes } from "../../streams/codec/fuseReply.ts"
import { unknownStatistics } from "../fuse/spanStatistics.ts"
import type { ShownBlob } from "../fuse/blobMount.ts"
import type { NativeEntry } from "../native/fuseNative.ts"
import type { NativeContent, NativeFiles, NativeSource } from "./NativeFiles.ts"

type Blob = ShownBlob<NativeSource>

const rootMode = 0o040500
const fileMode = 0o100400

const rootAttributes: FuseAttributes = {
  node: rootId,
  size: 0,
  seconds: 0,
  nanoseconds: 0,
  mode: rootMode,
  nlink: 2,
  uid: 0,
  gid: 0,
  rdev: 0
}

const attributesOf = ({ node, size }: Blob): FuseAttributes => ({
  ...rootAttributes,
  node,
  size,
  mode: fileMode,
  nlink: 1
})

export class NativeBlobs implements NativeFiles {
  readonly statistics = unknownStatistics
  readonly #byName = new Map<string, Blob>()
  readonly #byNode = new Map<number, Blob>()

  add(blob: Blob): void {
    this.#byName.set(`/${blob.name}`, blob)
    this.#byNode.set(blob.node, blob)
  }

  remove(node: number): NativeSource | undefined {
    const blob = this.#byNode.get(node)
    if (blob === undefined) return undefined
    this.#byNode.delete(node)
    this.#byName.delete(`/${blob.name}`)
    return blob.source
  }

  attributes(path: string): FuseAttributes | number {
    if (path === "/") return rootAttributes
    const blob = this.#byName.get(path)
    return blob === undefined ? -Errno.ENOENT : attributesOf(blob)
  }

  list(path: string): ReadonlyArray<NativeEntry> | number {
    if (path !== "/") return -Errno.ENOTDIR
    const dots = [".", ".."].map((name) => ({ name, attributes: rootAttributes }))
    const files = [...this.#byNode.values()].map((blob) => ({ name: blob.name, attributes: attributesOf(blob) }))
    return [...dots, ...files]
  }

  target(): number {
    return -Errno.EINVAL
  }

  xattr(): number {
    return -Errno.ENOSYS
  }

  xattrs(): number {
    return -Errno.ENOSYS
  }

  /** What was opened is read, whatever has its name by then. */
  open(path: string): number {
    return this.#byName.get(path)?.node ?? -Errno.ENOENT
  }

  content(_: string, handle: number): NativeContent | number {
    const blob = this.#byNode.get(handle)
    return blob === undefined ? -Errno.EIO : { source: blob.source, start: 0, size: blob.size }
  }
}

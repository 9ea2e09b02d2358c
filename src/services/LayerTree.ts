/**
 * The file tree of one layer, as columns in one shared buffer that any thread can read without copying or locking.
 *
 * The tree is what an overlay unpacker would have made of the tar (lazy-filesystem spec, 5.2): whiteouts are character devices 0:0
 * under the name they hide, an opaque directory carries a flag. Node 0 is the root; numbers follow from the ztoc alone, so
 * that a successor of a dead process gives every file the number it had. A node costs 84 bytes, a directory entry 10 and its name.
 */
import { Schema } from "effect"

export interface LayerTree {
  readonly buffer: SharedArrayBuffer
  readonly nodeCount: number
  readonly direntCount: number

  /** File type and permissions, as in `st_mode`. */
  readonly mode: Uint32Array
  readonly uid: Uint32Array
  readonly gid: Uint32Array
  /** Linux encoding (`makedev`, 32 bits); 0 for what is no device. */
  readonly rdev: Uint32Array
  readonly nlink: Uint32Array
  /** Bytes; for a symlink the length of its target. */
  readonly size: Float64Array
  /** Where a regular file's data begin in the uncompressed stream. */
  readonly dataOffset: Float64Array
  readonly mtimeSeconds: Float64Array
  readonly mtimeNanoseconds: Uint32Array
  /** The directory a directory is in; the root's is itself. */
  readonly parent: Uint32Array
  /** A directory's entries are dirents [firstDirent, firstDirent + direntLength), in ascending byte order of names. */
  readonly firstDirent: Uint32Array
  readonly direntLength: Uint32Array
  /** Symlink target in `bytes`. */
  readonly targetOffset: Uint32Array
  readonly targetLength: Uint32Array
  /** Packed xattrs in `bytes`: u16 key length, u32 value length, key, value; little-endian, in ascending order. */
  readonly xattrOffset: Uint32Array
  readonly xattrLength: Uint32Array
  /** The entry of the ztoc (after sorting by offset) a node is of; `noEntry` for implied directories. */
  readonly entry: Uint32Array
  /** 1 for an opaque directory. */
  readonly opaque: Uint8Array

  readonly direntNode: Uint32Array
  readonly nameOffset: Uint32Array
  readonly nameLength: Uint16Array

  readonly bytes: Uint8Array
}

export const rootNode = 0
export const noEntry = 0xffff_ffff

/** The layer's table of contents makes no tree that a kernel could show. */
export class InvalidTree extends Schema.TaggedError<InvalidTree>()("InvalidTree", {
  entry: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `the layer's entry "${this.entry}" makes no file tree: ${this.reason}`
  }
}

/**
 * What a mount serves, as the threads that serve it see it.
 */
import type { FuseFeatures } from "../../streams/codec/fuseInit.ts"
import type { FuseReply } from "../../streams/codec/fuseReply.ts"
import type { FuseRequest } from "../../streams/codec/fuseRequest.ts"
import type { SpanTable } from "../../services/SpanStore.ts"

/** A layer's uncompressed stream: its sparse file, and which spans of it are there. */
export interface LayerSource {
  readonly kind: "layer"
  /** The number the main thread knows it by. */
  readonly id: number
  readonly descriptor: number
  readonly table: SpanTable
}

export interface BytesSource {
  readonly kind: "bytes"
  readonly bytes: Uint8Array
}

/** Where a file's bytes are. */
export interface FileContent {
  readonly source: LayerSource | BytesSource
  /** Offset of the file's first byte in its source. */
  readonly start: number
  readonly size: number
}

export interface ServedFiles {
  readonly features: FuseFeatures
  /** Answers anything but INIT, READ and what has no answer: the bytes of the reply's body, or a negative errno. */
  answer(request: FuseRequest, reply: FuseReply): number
  /** The content of a node, undefined for what is no regular file. */
  contentOf(node: number): FileContent | undefined
}

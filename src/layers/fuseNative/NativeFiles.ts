/**
 * What a mount of fuse-native serves: files by their paths, as libfuse asks for them.
 */
import type { LayerSpans } from "../../services/SpanStore.ts"
import type { NativeOperations } from "../native/fuseNative.ts"

/** A layer's uncompressed stream, with the descriptor of its file; or bytes in memory. */
export type NativeSource =
  | { readonly kind: "layer"; readonly descriptor: number; readonly spans: LayerSpans }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }

/** Where a file's bytes are. */
export interface NativeContent {
  readonly source: NativeSource
  /** Offset of the file's first byte in its source. */
  readonly start: number
  readonly size: number
}

/** A negative number is an errno. */
export interface NativeFiles extends Omit<NativeOperations, "read" | "fault"> {
  /** The content of an open file, or of a path where opening gave no handle. */
  content(path: string, handle: number): NativeContent | number
}

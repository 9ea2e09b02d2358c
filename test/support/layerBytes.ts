/**
 * Layers that lie in memory, for readers of ztocs.
 */
import { Stream } from "effect"
import type { LayerBytes } from "../../src/services/ZtocReader.ts"
import { chunked } from "./content.ts"

export interface CountedBytes extends LayerBytes {
  readonly reads: Array<{ readonly offset: number; readonly length: number }>
}

/** Serves `bytes` in chunks, and notes what is read of it. */
export const layerBytes = (bytes: Uint8Array, chunkSize = 65_536): CountedBytes => {
  const reads: Array<{ readonly offset: number; readonly length: number }> = []
  return {
    location: "test/layer",
    size: bytes.length,
    reads,
    read: (offset, length) =>
      Stream.suspend(() => {
        reads.push({ offset, length })
        return chunked(bytes.subarray(offset, offset + length), chunkSize)
      })
  }
}

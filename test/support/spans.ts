/**
 * Spans that exist only as numbers.
 */
import { Digest } from "../../src/services/Descriptor.ts"
import type { Span } from "../../src/services/Ztoc.ts"

/** Spans of these compressed sizes, one behind the other; each is as large uncompressed. */
export const spansOfSizes = (sizes: ReadonlyArray<number>): ReadonlyArray<Span> => {
  let offset = 0
  return sizes.map((size, id) => {
    const [start, end] = [offset, (offset += size)]
    return {
      id,
      compressedStart: start,
      compressedEnd: end,
      uncompressedStart: start,
      uncompressedEnd: end,
      digest: Digest.make(`sha256:${"0".repeat(64)}`)
    }
  })
}

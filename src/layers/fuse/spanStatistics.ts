/**
 * What statfs(2) says of a mounted layer.
 */
import { Effect } from "effect"
import { statfs } from "node:fs/promises"
import type { LayerSpans } from "../../services/SpanStore.ts"
import type { FuseStatistics } from "../../streams/codec/fuseReply.ts"

export const unknownStatistics: FuseStatistics = {
  blocks: 0,
  blocksFree: 0,
  blocksAvailable: 0,
  files: 0,
  filesFree: 0,
  blockSize: 4096
}

/** Of the file system that holds the layer's spans, as far as it says (lazy-filesystem spec, 6.2). */
export const statisticsOf = (spans: LayerSpans): Effect.Effect<FuseStatistics> =>
  Effect.tryPromise(() => statfs(spans.path)).pipe(
    Effect.map((found) => ({
      blocks: found.blocks,
      blocksFree: found.bfree,
      blocksAvailable: found.bavail,
      files: found.files,
      filesFree: found.ffree,
      blockSize: found.bsize
    })),
    Effect.orElseSucceed(() => unknownStatistics)
  )

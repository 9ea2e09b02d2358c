/**
 * Where layers have their files: in directories that are kept, or that go with the layer.
 */
import { Effect, Option } from "effect"
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { causeMessage } from "../../services/causeMessage.ts"
import { SpanStoreFailed } from "../../services/SpanStore.ts"
import { openKeptFile } from "./keptFile.ts"
import type { LayerFiles } from "./openLayer.ts"
import { makeSpanFile } from "./SpanFile.ts"
import { makeSpanQuota, type QuotaOptions } from "./SpanQuota.ts"

const temporary = (directory: string): LayerFiles => ({
  open: (layer, _, { size }) => makeSpanFile(directory, layer, size)
})

/** With `keep` a layer that another process has open gets a file of its own all the same, which is not kept. */
export const makeLayerFiles = Effect.fnUntraced(function* (directory: string, keep: QuotaOptions | undefined) {
  if (keep === undefined) return { files: temporary(directory), quota: undefined }
  const layers = join(directory, "layers")
  yield* Effect.tryPromise({
    try: () => mkdir(layers, { recursive: true, mode: 0o700 }),
    catch: (cause) => new SpanStoreFailed({ layer: "(none)", path: layers, reason: causeMessage(cause), cause })
  })
  const quota = yield* makeSpanQuota(layers, keep)
  const files: LayerFiles = {
    open: Effect.fnUntraced(function* (layer, identity, kept) {
      yield* quota.look
      yield* Effect.addFinalizer(() => quota.closed)
      const file = yield* openKeptFile(join(layers, identity), layer, kept)
      return Option.isSome(file) ? file.value : yield* makeSpanFile(directory, layer, kept.size)
    })
  }
  return { files, quota }
})

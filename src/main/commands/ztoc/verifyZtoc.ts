/**
 * The work of `soci ztoc verify`.
 */
import { Console, Effect } from "effect"
import { openLayerFile } from "../../../layers/extract/layerFile.ts"
import { ZtocReader } from "../../../services/ZtocReader.ts"
import { ztocReader } from "./extractFile.ts"
import { readZtoc } from "./ztocInput.ts"

export const verifyZtoc = Effect.fn("soci.ztoc.verify")(
  function* (options: { readonly ztoc: string; readonly layer: string }) {
    const { ztoc } = yield* readZtoc(options.ztoc)
    const reader = yield* ZtocReader
    const { spans, entries } = yield* reader.verify(ztoc, yield* openLayerFile(options.layer))
    yield* Console.log(`ok: ${spans} spans, ${entries} files`)
  },
  Effect.scoped,
  Effect.provide(ztocReader)
)

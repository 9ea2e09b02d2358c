/**
 * `soci ztoc verify ZTOC LAYER`: whether a ztoc tells the truth about a layer.
 */
import { Console, Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { openLayerFile } from "../../../layers/extract/layerFile.ts"
import { ZtocReader } from "../../../services/ZtocReader.ts"
import { ztocReader } from "./getFile.ts"
import { readZtoc, rootFlag, ztocArgument } from "./ztocInput.ts"

export const verify = Command.make(
  "verify",
  {
    ztoc: ztocArgument,
    layer: Argument.String("layer").pipe(Argument.withDescription("The compressed layer, a file")),
    root: rootFlag
  },
  Effect.fnUntraced(
    function* (options) {
      const { ztoc } = yield* readZtoc(options.ztoc, options.root)
      const reader = yield* ZtocReader
      const { spans, entries } = yield* reader.verify(ztoc, yield* openLayerFile(options.layer))
      yield* Console.log(`ok: ${spans} spans, ${entries} files`)
    },
    Effect.scoped,
    Effect.provide(ztocReader)
  )
).pipe(
  Command.withDescription(
    "Hold a layer against its ztoc: spans, checkpoints, tar headers; exit code 1 with the first finding"
  )
)

/**
 * `soci ztoc verify ZTOC LAYER`: whether a ztoc tells the truth about a layer.
 */
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { ztocArgument } from "./ztocArguments.ts"

export const verify = Command.make(
  "verify",
  {
    ztoc: ztocArgument,
    layer: Argument.String("layer").pipe(Argument.withDescription("The compressed layer, a file"))
  },
  Effect.fnUntraced(function* (options) {
    const { verifyZtoc } = yield* Effect.promise(() => import("./verifyZtoc.ts"))
    yield* verifyZtoc(options)
  })
).pipe(
  Command.withDescription(
    "Hold a layer against its ztoc: spans, checkpoints, tar headers; exit code 1 with the first finding"
  )
)

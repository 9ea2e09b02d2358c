/**
 * `soci ztoc get-file ZTOC FILE`: one file of a layer, by inflating only the spans that hold it.
 */
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { ztocArgument } from "./ztocArguments.ts"

export const getFile = Command.make(
  "get-file",
  {
    ztoc: ztocArgument,
    file: Argument.String("file").pipe(
      Argument.withDescription("The file's name as it stands in the layer: etc/hosts, not /etc/hosts"),
      Argument.withDefault("")
    ),
    layer: Flag.String("layer").pipe(
      Flag.withDescription("The compressed layer, a file; without it the layer in the content store is read"),
      Flag.withDefault("")
    ),
    output: Flag.String("output").pipe(
      Flag.withAlias("o"),
      Flag.withDescription("Write to this file, instead of standard output with a newline behind it"),
      Flag.withDefault("")
    )
  },
  Effect.fnUntraced(function* (options) {
    const { extractFile } = yield* Effect.promise(() => import("./extractFile.ts"))
    yield* extractFile(options)
  })
).pipe(Command.withDescription("retrieve a file from a local image layer using a specified ztoc"))

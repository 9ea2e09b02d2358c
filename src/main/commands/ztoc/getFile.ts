/**
 * `soci ztoc get-file ZTOC FILE`: one file of a layer, by inflating only the spans that hold it.
 */
import { Effect, Layer, Option, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { openLayerFile } from "../../../layers/extract/layerFile.ts"
import { writeOutputFile } from "../../../layers/extract/outputFile.ts"
import * as InflateLive from "../../../layers/InflateLive.ts"
import * as ZtocReaderLive from "../../../layers/ZtocReaderLive.ts"
import { ZtocReader } from "../../../services/ZtocReader.ts"
import { CommandRefused } from "../../commandFailure.ts"
import { writeStandardOutput } from "./standardOutput.ts"
import { readZtoc, rootFlag, ztocArgument } from "./ztocInput.ts"

/** What reads layers for the commands. */
export const ztocReader = ZtocReaderLive.layer.pipe(Layer.provide(InflateLive.layer()))

export const getFile = Command.make(
  "get-file",
  {
    ztoc: ztocArgument,
    file: Argument.String("file").pipe(
      Argument.withDescription("The file's name as it stands in the layer: etc/hosts, not /etc/hosts")
    ),
    layer: Flag.String("layer").pipe(Flag.withDescription("The compressed layer, a file"), Flag.optional),
    output: Flag.String("output").pipe(
      Flag.withAlias("o"),
      Flag.withDescription("Write to this file, instead of standard output with a newline behind it"),
      Flag.optional
    ),
    root: rootFlag
  },
  Effect.fnUntraced(
    function* (options) {
      if (Option.isNone(options.layer)) {
        return yield* new CommandRefused({
          reason:
            "which layer a ztoc is of stands in the artifacts data base, which this version does not keep yet. " +
            "Give the layer's file: soci ztoc get-file --layer FILE ZTOC NAME"
        })
      }
      const { ztoc } = yield* readZtoc(options.ztoc, options.root)
      const reader = yield* ZtocReader
      const layer = yield* reader.open(ztoc, yield* openLayerFile(options.layer.value))
      const entry = yield* layer.find(Buffer.from(options.file).toString("latin1"))
      const content = layer.content(entry)
      yield* Option.match(options.output, {
        onNone: () => writeStandardOutput(Stream.concat(content, Stream.succeed("\n"))),
        onSome: (path) => writeOutputFile(path, content)
      })
    },
    Effect.scoped,
    Effect.provide(ztocReader)
  )
).pipe(Command.withDescription("Retrieve a file of a layer by its ztoc"))

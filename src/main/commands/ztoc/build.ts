/**
 * `soci ztoc build FILE`: the ztoc of one layer.
 */
import { Console, Effect, Option, Stdio, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { fileFailed, openFile } from "../../../layers/extract/layerFile.ts"
import { writeOutputFile } from "../../../layers/extract/outputFile.ts"
import { readRangeReusing } from "../../../layers/fileBlob.ts"
import * as ZtocBuilderWorkers from "../../../layers/ZtocBuilderWorkers.ts"
import {
  type BuiltZtoc,
  defaultBuildToolIdentifier,
  defaultSpanSize,
  ZtocBuilder,
  type ZtocBuildOptions
} from "../../../services/ZtocBuilder.ts"
import { sniffCompression } from "../../../streams/sniffCompression.ts"
import { formatBytes, progressOn } from "../../demo/progress.ts"

const layerBytes = Effect.fnUntraced(function* (file: string) {
  if (file === "-") {
    const { stdin } = yield* Stdio.Stdio
    return { bytes: Stream.mapError(stdin, fileFailed("read", "standard input")), size: undefined }
  }
  const { handle, size } = yield* openFile(file)
  return { bytes: readRangeReusing(handle, 0, size, fileFailed("read", file)), size }
})

const clearLine = Effect.sync(() => {
  if (process.stderr.isTTY) process.stderr.write("\r\u001b[2K")
})

/** Builds with one line of progress on a terminal. */
const buildWithProgress = Effect.fnUntraced(function* <E, R>(
  bytes: Stream.Stream<Uint8Array, E, R>,
  size: number | undefined,
  options: ZtocBuildOptions
) {
  const builder = yield* ZtocBuilder
  const progress = progressOn(process.stderr)
  const total = size === undefined ? "" : ` of ${formatBytes(size)}`
  let built: BuiltZtoc | undefined
  yield* builder.events(bytes, options).pipe(
    Stream.runForEach((event) => {
      if (event._tag === "Progress") {
        const { compressedBytes, uncompressedBytes } = event
        return progress.update(
          `read ${formatBytes(compressedBytes)}${total}, inflated ${formatBytes(uncompressedBytes)}`
        )
      }
      built = event.ztoc
      return Effect.void
    }),
    Effect.ensuring(clearLine)
  )
  return built ?? (yield* Effect.die(new Error("the build ended without a ztoc")))
})

export const build = Command.make(
  "build",
  {
    file: Argument.String("file").pipe(
      Argument.withDescription("The layer, compressed as it is; - for standard input")
    ),
    spanSize: Flag.Int("span-size").pipe(
      Flag.withDescription("Uncompressed bytes between the points where inflating may begin"),
      Flag.withDefault(defaultSpanSize)
    ),
    algorithm: Flag.Literals("algorithm", ["gzip", "uncompressed", "unknown"]).pipe(
      Flag.withDescription("How the layer is compressed; found out by its first bytes if not given"),
      Flag.optional
    ),
    buildTool: Flag.String("build-tool").pipe(
      Flag.withDescription("The build tool identifier that is written into the ztoc"),
      Flag.withDefault(defaultBuildToolIdentifier)
    ),
    output: Flag.String("output").pipe(
      Flag.withAlias("o"),
      Flag.withDescription("Write the ztoc to this file; without it only its digest is printed"),
      Flag.optional
    )
  },
  Effect.fnUntraced(
    function* ({ file, spanSize, algorithm, buildTool, output }) {
      const { bytes, size } = yield* layerBytes(file)
      const [sniffed, layer] = yield* sniffCompression(bytes)
      const compression = Option.getOrElse(algorithm, () => sniffed)
      const built = yield* buildWithProgress(layer, size, { compression, spanSize, buildToolIdentifier: buildTool })
      if (Option.isSome(output)) yield* writeOutputFile(output.value, Stream.succeed(built.bytes))
      yield* Console.log(built.digest)
    },
    Effect.scoped,
    Effect.provide(ZtocBuilderWorkers.layer)
  )
).pipe(
  Command.withDescription("Build the ztoc of one layer and print its digest"),
  Command.withExamples([
    { command: "soci ztoc build layer.tar.gz -o layer.ztoc", description: "Build a ztoc and keep it" },
    { command: "curl -s URL | soci ztoc build -", description: "Only the digest, from standard input" }
  ])
)

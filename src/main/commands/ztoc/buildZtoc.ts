/**
 * The work of `soci ztoc build`.
 */
import { Console, Effect, Option, Stdio, Stream } from "effect"
import { fileFailed, openFile } from "../../../layers/extract/layerFile.ts"
import { writeOutputFile } from "../../../layers/extract/outputFile.ts"
import { readRangeReusing } from "../../../layers/fileBlob.ts"
import * as ZtocBuilderWorkers from "../../../layers/ZtocBuilderWorkers.ts"
import { type BuiltZtoc, ZtocBuilder, type ZtocBuildOptions } from "../../../services/ZtocBuilder.ts"
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

export const buildZtoc = Effect.fn("soci.ztoc.build")(
  function* (options: {
    readonly file: string
    readonly spanSize: number
    readonly algorithm: Option.Option<ZtocBuildOptions["compression"]>
    readonly buildTool: string
    readonly output: Option.Option<string>
  }) {
    const { file, spanSize, algorithm, buildTool, output } = options
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

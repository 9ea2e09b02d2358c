/**
 * `soci ztoc build FILE`: the ztoc of one layer.
 */
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { defaultBuildToolIdentifier, defaultSpanSize } from "../../../services/ZtocBuilder.ts"

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
  Effect.fnUntraced(function* (options) {
    const { buildZtoc } = yield* Effect.promise(() => import("./buildZtoc.ts"))
    yield* buildZtoc(options)
  })
).pipe(
  Command.withDescription("Build the ztoc of one layer and print its digest"),
  Command.withExamples([
    { command: "soci ztoc build layer.tar.gz -o layer.ztoc", description: "Build a ztoc and keep it" },
    { command: "curl -s URL | soci ztoc build -", description: "Only the digest, from standard input" }
  ])
)

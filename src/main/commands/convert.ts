/**
 * `soci convert IMAGE NEW`: an image that carries its SOCI indexes (v2).
 */
import { Effect, Option } from "effect"
import { Argument, CliError, Command, Flag } from "effect/cli"
import { platformFlags, prefetchFlags, switchFlag, unsignedFlag, ztocFlags } from "../cli/sharedFlags.ts"
import { CommandRefused } from "../commandFailure.ts"
import { registryFlags } from "./registryFlags.ts"

const readFormat = (value: string) => {
  if (value === "oci-archive" || value === "oci-dir") return Effect.succeed<"oci-archive" | "oci-dir">(value)
  const expected = `unsupported output format ${JSON.stringify(value)}: must be "oci-archive" or "oci-dir"`
  return Effect.fail(new CliError.InvalidValue({ option: "format", value, expected, kind: "flag" }))
}

export const convert = Command.make(
  "convert",
  {
    source: Argument.String("image_ref").pipe(
      Argument.withDescription(
        "The image in containerd; with --standalone an OCI directory or archive, or docker://host/path:tag"
      ),
      Argument.optional
    ),
    destination: Argument.String("dest_ref").pipe(
      Argument.withDescription("The name of the new image; with --standalone a path, or docker://host/path:tag"),
      Argument.optional
    ),
    standalone: switchFlag(
      "standalone",
      "convert files, or images of registries (docker://host/path:tag), without containerd"
    ),
    format: Flag.String("format").pipe(
      Flag.withDescription('output format of --standalone: oci-archive or oci-dir (default: "oci-archive")'),
      Flag.mapEffect(readFormat),
      Flag.optional
    ),
    rewriteAttestations: switchFlag(
      "rewrite-attestations",
      "rewrite attestations like images, as the reference does, which cuts their link to the image"
    ),
    ...platformFlags,
    ...ztocFlags,
    ...prefetchFlags,
    ...registryFlags,
    maxConcurrentUploads: unsignedFlag(
      "max-concurrent-uploads",
      "max concurrent uploads to a registry. Default is 3",
      3n
    ),
    json: switchFlag("json", "print the result as one JSON object")
  },
  Effect.fnUntraced(function* (options) {
    if (options.standalone) {
      const { convertStandalone } = yield* Effect.promise(() => import("./convert/convertStandalone.ts"))
      return yield* convertStandalone(options)
    }
    if (Option.isSome(options.format)) {
      return yield* new CommandRefused({
        reason: "--format is for --standalone: in containerd there are no files to write"
      })
    }
    const { convertStored } = yield* Effect.promise(() => import("./convert/convertStored.ts"))
    yield* convertStored(options)
  })
).pipe(
  Command.withDescription("convert an OCI image to a SOCI enabled image"),
  Command.withExamples([
    {
      command: "soci convert registry.example.com/app:v1 registry.example.com/app:v1-soci",
      description: "Convert an image of containerd"
    },
    {
      command: "soci convert --standalone image.tar image-soci.tar",
      description: "Convert an OCI archive (or directory) without containerd"
    },
    {
      command:
        "soci convert --standalone docker://registry.example.com/app:v1 docker://registry.example.com/app:v1-soci",
      description: "Convert in the registry: layers are read once and not stored"
    }
  ])
)

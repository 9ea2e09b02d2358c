/**
 * `soci push IMAGE`: the SOCI indexes of an image to its registry.
 */
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { describeFlag, platformFlags, switchFlag, unsignedFlag } from "../cli/sharedFlags.ts"
import { ignoredFlags, registryFlags } from "./registryFlags.ts"

export const push = Command.make(
  "push",
  {
    image: Argument.String("ref").pipe(
      Argument.withDescription("The image, by its name in containerd"),
      Argument.optional
    ),
    ...registryFlags,
    ...ignoredFlags,
    ...platformFlags,
    maxConcurrentUploads: unsignedFlag("max-concurrent-uploads", "max concurrent uploads. Default is 3", 3n),
    existingIndex: Flag.String("existing-index").pipe(
      Flag.withDescription(
        describeFlag(
          'Configure how to handle existing SOCI artifacts in remote. "warn" warns and pushes, "skip" skips pushing, "allow" pushes without a look',
          { default: '"warn"' }
        )
      ),
      Flag.withDefault("warn")
    ),
    quiet: switchFlag("quiet", "quiet mode").pipe(Flag.withAlias("q")),
    json: switchFlag("json", "print the result as one JSON object")
  },
  Effect.fnUntraced(function* (options) {
    const { pushIndexes } = yield* Effect.promise(() => import("./push/pushIndexes.ts"))
    yield* pushIndexes(options)
  })
).pipe(
  Command.withDescription("push SOCI artifacts to a registry"),
  Command.withExamples([
    {
      command: "soci push registry.example.com/app:v1",
      description: "Push the newest index for this machine's platform"
    },
    {
      command: "soci push --all-platforms --existing-index skip registry.example.com/app:v1",
      description: "Push what the registry does not have yet"
    }
  ])
)

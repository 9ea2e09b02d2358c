/**
 * `soci create IMAGE`: SOCI indexes (v1) for an image of containerd.
 */
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { platformFlags, prefetchFlags, switchFlag, ztocFlags } from "../cli/sharedFlags.ts"

export const create = Command.make(
  "create",
  {
    image: Argument.String("image_ref").pipe(
      Argument.withDescription("The image, by its name in containerd"),
      Argument.optional
    ),
    ...platformFlags,
    ...ztocFlags,
    ...prefetchFlags,
    json: switchFlag("json", "print the result as one JSON object")
  },
  Effect.fnUntraced(function* (options) {
    const { createIndexes } = yield* Effect.promise(() => import("./create/createIndexes.ts"))
    yield* createIndexes(options)
  })
).pipe(
  Command.withDescription("create SOCI index"),
  Command.withExamples([
    { command: "soci create registry.example.com/app:v1", description: "Index an image that containerd has" },
    {
      command: "soci create --all-platforms --min-layer-size 0 registry.example.com/app:v1",
      description: "Index every layer for every platform"
    }
  ])
)

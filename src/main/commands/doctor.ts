/**
 * `soci doctor [IMAGE]`: what works here, what is missing, and how to get it.
 */
import { Effect, Option } from "effect"
import { Argument, Command } from "effect/cli"
import { switchFlag } from "../cli/sharedFlags.ts"
import { registryFlags } from "./registryFlags.ts"

export const doctor = Command.make(
  "doctor",
  {
    image: Argument.String("image").pipe(
      Argument.withDescription("Also looks whether this image can be had lazily from its registry"),
      Argument.optional
    ),
    json: switchFlag("json", "print what was found as one JSON object"),
    fix: switchFlag("fix", "unmount and remove what killed processes of ours left below the root directory"),
    ...registryFlags
  },
  Effect.fnUntraced(function* ({ image, json, fix, user, ...flags }) {
    const { examine } = yield* Effect.promise(() => import("../doctor/examine.ts"))
    const examined = Option.map(image, (name) => ({ name, flags: { ...flags, user: Option.getOrUndefined(user) } }))
    yield* examine({ image: Option.getOrUndefined(examined), json, fix })
  })
).pipe(
  Command.withDescription("tell what works here, what is missing and how to get it"),
  Command.withExamples([
    { command: "soci doctor", description: "Look at kernel, libraries, directories, containerd and credentials" },
    { command: "soci doctor registry.example.com/app:v1", description: "And at the way to an image" },
    { command: "soci doctor --fix", description: "Remove what killed processes left" }
  ])
)

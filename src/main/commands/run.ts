/**
 * `soci run IMAGE -- COMMAND...`: runs a program from an image that is mounted lazily for as long as the program runs.
 */
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { imageArgument, imageFlags } from "./imageFlags.ts"

export const run = Command.make(
  "run",
  {
    image: imageArgument,
    command: Argument.String("command").pipe(
      Argument.withDescription("The program and its arguments, behind --"),
      Argument.variadic({ min: 1 })
    ),
    ...imageFlags
  },
  Effect.fnUntraced(function* (options) {
    const { runFromImage } = yield* Effect.promise(() => import("./run/runFromImage.ts"))
    yield* runFromImage(options)
  })
).pipe(
  Command.withDescription("run a program from an image that is mounted lazily"),
  Command.withExamples([
    { command: "soci run registry.example.com/app:soci -- node --version", description: "Run one program and clean up" }
  ])
)

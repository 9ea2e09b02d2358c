/**
 * `soci completion SHELL`: what makes a shell complete our commands and flags.
 */
import { Effect, Stdio, Stream } from "effect"
import { Argument, Command } from "effect/cli"
import { completionScript, shells } from "../cli/completionScript.ts"
import { commands } from "../commands.ts"

export const completion = Command.make(
  "completion",
  {
    shell: Argument.Literals("shell", shells).pipe(Argument.withDescription(`the shell: ${shells.join(", ")}`))
  },
  Effect.fnUntraced(function* ({ shell }) {
    const loaded = yield* Effect.forEach(commands, ({ load }) => load)
    const { stdout } = yield* Stdio.Stdio
    yield* Stream.run(Stream.succeed(completionScript(loaded, shell)), stdout({ endOnDone: false }))
  })
).pipe(
  Command.withDescription("print a script that completes commands and flags in a shell"),
  Command.withExamples([
    { command: "source <(soci completion bash)", description: "In this shell" },
    {
      command: "soci completion zsh > ~/.zsh/completions/_soci",
      description: "For every zsh with that directory in fpath"
    },
    { command: "soci completion fish > ~/.config/fish/completions/soci.fish", description: "For every fish" }
  ])
)

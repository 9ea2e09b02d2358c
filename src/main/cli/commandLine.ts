/**
 * The frame of the command line: finds the command that is meant, loads it and nothing else, and runs it as the reference would.
 */
import { Duration, Effect, Option, References } from "effect"
import { CliConfig, CliOutput, type Command, type GlobalFlag } from "effect/cli"
import { DeadlineExceeded, ExitWith } from "../commandFailure.ts"
import { type Arrangement, arrangeArguments } from "./arguments.ts"
import { type CommandEntry, placeholder, runRoot, type RunRoot } from "./commandEntry.ts"
import {
  cliConfig,
  commandShape,
  type CommandTree,
  findPage,
  globalShapes,
  readOutline,
  readTree
} from "./commandTree.ts"
import { Debug, Timeout } from "./globalFlags.ts"
import { prepare } from "./preparation.ts"
import { presenter, refuseCommand, showPage, showUsageError, showVersion } from "./usage.ts"

const arrange = (tree: CommandTree, argv: ReadonlyArray<string>): Arrangement =>
  arrangeArguments(commandShape(tree), globalShapes(tree), argv)

/** A global flag as a handler will see it; what is wrong with its value the parser says when the command runs. */
const settingOf = <Id extends string, A>(
  setting: GlobalFlag.Setting<Id, A>,
  arranged: ReadonlyArray<string>,
  otherwise: A
): Effect.Effect<A, never, Command.Environment> => {
  const flag = `--${setting.id}=`
  const flags = arranged.slice(0, arranged.indexOf("--")).filter((argument) => argument.startsWith(flag))
  return setting.flag
    .parse({ flags: { [setting.id]: flags.map((argument) => argument.slice(flag.length)) }, arguments: [] })
    .pipe(
      Effect.map(([, value]) => value),
      Effect.option,
      Effect.map(Option.getOrElse(() => otherwise))
    )
}

/** Whoever waits for a connection begins a little later, waits as long, and knows better what was in vain: it speaks first. */
const grace = Duration.millis(500)

/** Bounded by `--timeout`, with as many log lines as `--debug` asks for. */
const runBounded = Effect.fnUntraced(function* (run: RunRoot, argv: ReadonlyArray<string>) {
  const timeout = yield* settingOf(Timeout, argv, Duration.zero)
  const bounded = Duration.isZero(timeout)
    ? run(argv)
    : Effect.timeoutOrElse(run(argv), {
        duration: Duration.sum(timeout, grace),
        orElse: () => Effect.fail(new DeadlineExceeded({ timeout }))
      })
  const debug = yield* settingOf(Debug, argv, false)
  return yield* debug ? Effect.provideService(bounded, References.MinimumLogLevel, "Debug") : bounded
})

const perform = (
  tree: CommandTree,
  run: RunRoot,
  arrangement: Arrangement
): Effect.Effect<void, unknown, Command.Environment> => {
  switch (arrangement._tag) {
    case "Run":
      return runBounded(run, arrangement.argv)
    case "Help":
      return showPage(findPage(tree, arrangement.path))
    case "Version":
      return showVersion
    case "UnknownCommand":
      return refuseCommand(arrangement.word, arrangement.suggestions)
    case "UsageError":
      return showUsageError(findPage(tree, arrangement.path), arrangement.reason, arrangement.suggestions).pipe(
        Effect.andThen(Effect.fail(new ExitWith({ code: 1 })))
      )
  }
}

/** Of the other commands only names and summaries are known: their modules are not loaded. */
export const runCommandLine = (entries: ReadonlyArray<CommandEntry>, argv: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const outline = runRoot(entries.map(placeholder))
    const outlineTree = yield* readOutline(outline)
    const meant = arrange(outlineTree, argv)
    const entry = entries.find(({ name }) => name === meant.path[0])
    if (entry === undefined) return yield* perform(outlineTree, outline, meant)
    const command = yield* entry.load
    const tree = yield* readTree(runRoot([command]))
    const arrangement = arrange(tree, argv)
    const needsRoot = arrangement._tag === "Run" && entry.needsRoot(arrangement.argv)
    return yield* perform(tree, runRoot([command], needsRoot ? prepare : Effect.void), arrangement)
  }).pipe(Effect.provideService(CliConfig.CliConfig, cliConfig), Effect.provideService(CliOutput.Presenter, presenter))

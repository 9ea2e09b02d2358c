/**
 * Commands that are loaded when they are called, and the root that holds them.
 */
import { Effect, type Types } from "effect"
import { Command, type GlobalFlag } from "effect/cli"
import { version } from "../version.ts"
import type { RunCommand } from "./commandTree.ts"
import { globalFlags } from "./globalFlags.ts"
import type { prepare } from "./preparation.ts"

type SettingOf<F> = F extends GlobalFlag.Setting<infer Id, infer _A> ? GlobalFlag.Setting.Identifier<Id> : never

/** What a command may ask for. */
export type CommandServices = Command.Environment | SettingOf<(typeof globalFlags)[number]>

/** A command of which is known only that the root can run it. */
export interface LoadedCommand extends Command.Command.Any {
  readonly "~effect/cli/Command": Command.Command.Variance<never, unknown, CommandServices>
}

export interface CommandEntry {
  readonly name: string
  readonly summary: string
  /** Whether the root directory is made before it runs, by its arguments as they were arranged. */
  readonly needsRoot: (argv: ReadonlyArray<string>) => boolean
  readonly load: Effect.Effect<LoadedCommand>
}

/** `load` imports the command's module; its name must be the one given here. */
export const commandEntry = <const Name extends string, Input, Context, E>(entry: {
  readonly name: Types.NoInfer<Name>
  readonly summary: string
  readonly needsRoot: boolean | ((argv: ReadonlyArray<string>) => boolean)
  readonly load: () => Promise<Command.Command<Name, Input, Context, E, CommandServices>>
}): CommandEntry => {
  const { name, summary, needsRoot, load } = entry
  return {
    name,
    summary,
    needsRoot: typeof needsRoot === "boolean" ? () => needsRoot : needsRoot,
    load: Effect.promise(load)
  }
}

/** Stands for a command that need not be loaded. */
export const placeholder = ({ name, summary }: CommandEntry): LoadedCommand =>
  Command.make(name).pipe(Command.withDescription(summary))

/** `soci` with these commands; `before` runs once all arguments have been found good. */
export const rootCommand = (
  commands: ReadonlyArray<LoadedCommand>,
  before: typeof prepare | typeof Effect.void = Effect.void
) =>
  Command.make("soci").pipe(
    Command.withDescription("Start containers before their image has arrived"),
    Command.withSubcommands(commands),
    Command.provideEffectDiscard(before),
    Command.withGlobalFlags(globalFlags)
  )

export type RunRoot = RunCommand<unknown, Command.Environment>

/** Runs `soci` with arguments. */
export const runRoot = (...root: Parameters<typeof rootCommand>): RunRoot =>
  Command.runWith(rootCommand(...root), { version })

/**
 * Completions for a shell, from what the commands say of themselves. Effect's generator knows neither global flags nor the words `help` and
 * `--version` of ours: they are added at every level where they are understood.
 */
import { Command, Completions, Flag } from "effect/cli"
import { type LoadedCommand, rootCommand } from "./commandEntry.ts"
import { globalFlags } from "./globalFlags.ts"

export const shells = ["bash", "zsh", "fish"] as const

const builtIn = Command.make("soci", {
  help: Flag.Boolean("help").pipe(Flag.withAlias("h"), Flag.withDescription("show help")),
  version: Flag.Boolean("version").pipe(Flag.withAlias("v"), Flag.withDescription("print the version"))
})

const everywhere = (): ReadonlyArray<Completions.FlagDescriptor> => {
  const globals = Command.make("soci", Object.fromEntries(globalFlags.map(({ id, flag }) => [id, flag])))
  return [globals, builtIn].flatMap((command) => Completions.fromCommand(command).flags)
}

/** A command's own flag hides a global one of the same name. We have no `--no-…`. */
const withGlobals = (
  command: Completions.CommandDescriptor,
  globals: ReadonlyArray<Completions.FlagDescriptor>
): Completions.CommandDescriptor => {
  const own = new Set(command.flags.flatMap(({ name, aliases }) => [name, ...aliases]))
  const added = globals
    .filter(({ name }) => !own.has(name))
    .map((flag) => ({ ...flag, aliases: flag.aliases.filter((alias) => !own.has(alias)) }))
  return {
    ...command,
    flags: [...command.flags, ...added].map((flag) => ({ ...flag, negation: false })),
    subcommands: command.subcommands.map((below) => withGlobals(below, globals))
  }
}

const help: Completions.CommandDescriptor = {
  name: "help",
  description: "Shows a list of commands or help for one command",
  flags: [],
  arguments: [],
  subcommands: []
}

/** To be sourced, or put where the shell looks for completions. */
export const completionScript = (commands: ReadonlyArray<LoadedCommand>, shell: (typeof shells)[number]): string => {
  const root = withGlobals(Completions.fromCommand(rootCommand(commands)), everywhere())
  const topics = { ...help, subcommands: root.subcommands }
  const script = Completions.generate("soci", shell, { ...root, subcommands: [...root.subcommands, topics] })
  return `${script.replaceAll("soci --completions ", "soci completion ").trimEnd()}\n`
}

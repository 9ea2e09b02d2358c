/**
 * What commands say of themselves: their help pages, and the shape their arguments are arranged by. Both come from the parser, so that nothing is said
 * twice.
 */
import { Effect } from "effect"
import { CliConfig, CliOutput, GlobalFlag, type HelpDoc } from "effect/cli"
import type { CommandShape, FlagShape } from "./arguments.ts"
import { listType } from "./goFlags.ts"

/** The built-in flags we have: the page of a command is asked for by its help flag. */
export const cliConfig = CliConfig.make({ builtIns: [GlobalFlag.Help] })

/** Runs a command with arguments behind its name. */
export type RunCommand<E, R> = (argv: ReadonlyArray<string>) => Effect.Effect<void, E, R>

/** The page of one command, `path` names it below the root. */
const pageOf = Effect.fnUntraced(function* <E, R>(run: RunCommand<E, R>, path: ReadonlyArray<string>) {
  let page: HelpDoc.HelpDoc | undefined
  const presenter: CliOutput.Presenter = {
    present: (event) =>
      Effect.sync(() => {
        if (event._tag === "Help") page = event.helpDoc
      })
  }
  yield* run([...path, "--help"]).pipe(
    Effect.provideService(CliOutput.Presenter, presenter),
    Effect.provideService(CliConfig.CliConfig, cliConfig),
    Effect.orDie
  )
  return page ?? (yield* Effect.die(new Error(`there is no help for ${path.join(" ")}`)))
})

export interface CommandTree {
  readonly name: string
  readonly alias: string | undefined
  readonly page: HelpDoc.HelpDoc
  readonly commands: ReadonlyArray<CommandTree>
}

const commandsOf = (page: HelpDoc.HelpDoc) => (page.subcommands ?? []).flatMap(({ commands }) => commands)

/** All pages from the command at `path` down. */
const readBelow = <E, R>(
  run: RunCommand<E, R>,
  path: ReadonlyArray<string>,
  name: string,
  alias: string | undefined
): Effect.Effect<CommandTree, never, R> =>
  Effect.gen(function* () {
    const page = yield* pageOf(run, path)
    const commands = yield* Effect.forEach(commandsOf(page), (below) =>
      readBelow(run, [...path, below.name], below.name, below.alias)
    )
    return { name, alias, page, commands }
  })

export const readTree = <E, R>(run: RunCommand<E, R>) => readBelow(run, [], "soci", undefined)

/** The root's page; of the commands below it only the names. */
export const readOutline = <E, R>(run: RunCommand<E, R>): Effect.Effect<CommandTree, never, R> =>
  Effect.map(pageOf(run, []), (page) => {
    const leaf = { description: "", usage: "", flags: [], annotations: page.annotations }
    const commands = commandsOf(page).map(({ name, alias }) => ({ name, alias, page: leaf, commands: [] }))
    return { name: "soci", alias: undefined, page, commands }
  })

const flagShape = ({ name, aliases, type }: HelpDoc.FlagDoc): FlagShape => ({
  name,
  names: [name, ...aliases.map((alias) => alias.replace(/^-+/, ""))],
  kind: type === "boolean" ? "switch" : type === listType ? "list" : "value"
})

export const commandShape = (tree: CommandTree): CommandShape => {
  const operands = tree.page.args ?? []
  return {
    name: tree.name,
    alias: tree.alias,
    flags: tree.page.flags.map(flagShape),
    operands: operands.some(({ variadic }) => variadic) ? Infinity : operands.length,
    commands: tree.commands.map(commandShape)
  }
}

export const globalShapes = ({ page }: CommandTree): ReadonlyArray<FlagShape> =>
  (page.globalFlags ?? []).filter(({ name }) => name !== "help").map(flagShape)

/** The page at `path`, or the last one on the way there. */
export const findPage = (tree: CommandTree, [name, ...rest]: ReadonlyArray<string>): HelpDoc.HelpDoc => {
  const next = tree.commands.find((command) => command.name === name)
  return next === undefined ? tree.page : findPage(next, rest)
}

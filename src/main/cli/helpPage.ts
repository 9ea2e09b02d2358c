/**
 * The help page of a command in the layout of the reference (cli spec, section 1), with our examples behind it.
 */
import { Option } from "effect"
import type { HelpDoc } from "effect/cli"
import { listType } from "./goFlags.ts"

type Page = HelpDoc.HelpDoc
type Row = readonly [left: string, text: string]

const helpFlag: Row = ["--help, -h", "show help"]
const versionFlag: Row = ["--version, -v", "print the version"]
const helpCommand: Row = ["help, h", "Shows a list of commands or help for one command"]

/** Values of a fixed choice, of paths and of lists are text to whoever types them. */
const shownType = (type: string): string => {
  if (type === "boolean") return ""
  if (type === "integer") return " int"
  return ["duration", "int", "uint"].includes(type) ? ` ${type}` : " string"
}

const flagRow = ({ name, aliases, type, description }: HelpDoc.FlagDoc): Row => {
  const names = [`--${name}`, ...aliases].map((one) => one + shownType(type)).join(", ")
  return [type === listType ? `${names} [ ${names} ]` : names, Option.getOrElse(description, () => "")]
}

/** Every line is filled up to the column of the texts, also where there is none. */
const table = (rows: ReadonlyArray<Row>): string => {
  const width = Math.max(...rows.map(([left]) => left.length)) + 2
  return rows
    .map(([left, text]) => `   ${left.padEnd(width)}${text.replaceAll("\n", `\n   ${" ".repeat(width)}`)}`)
    .join("\n")
}

const section = (title: string, body: string): string => `${title}:\n${body}\n`

const operand = ({ name, required, variadic }: HelpDoc.ArgDoc): string => {
  if (!variadic) return `<${name}>`
  return required ? `<${name}...>` : `[${name}...]`
}

const usage = (page: Page, path: string): string => {
  if ((page.commandPath ?? []).length <= 1) return `${path} [global options] [command [command options]]`
  if (page.subcommands !== undefined) return `${path} [command [command options]]`
  const operands = (page.args ?? []).map(operand)
  return [path, "[options]", ...(operands.length > 0 ? ["[flags]", ...operands] : [])].join(" ")
}

const commandRows = (page: Page): ReadonlyArray<Row> =>
  (page.subcommands ?? []).flatMap(({ commands }) =>
    commands.map(({ name, alias, description, shortDescription }): Row => [
      alias === undefined ? name : `${name}, ${alias}`,
      shortDescription ?? description
    ])
  )

const operandRows = (page: Page): ReadonlyArray<Row> =>
  (page.args ?? []).flatMap(({ name, description }) =>
    Option.match(description, { onNone: () => [], onSome: (text): ReadonlyArray<Row> => [[name, text]] })
  )

const exampleText = ({ examples = [] }: Page): string =>
  examples
    .map(({ command, description }) =>
      description === undefined ? `   ${command}` : `   # ${description}\n   ${command}`
    )
    .join("\n\n")

/** The page's text, ending with a newline. `version` stands on the page of the root only. */
export const helpPage = (page: Page, version: string): string => {
  const path = (page.commandPath ?? []).join(" ")
  const isRoot = (page.commandPath ?? []).length <= 1
  const commands = commandRows(page)
  const operands = operandRows(page)
  const examples = exampleText(page)
  const globals = (page.globalFlags ?? []).filter(({ name }) => name !== "help").map(flagRow)
  return [
    section("NAME", `   ${path} - ${page.description}`),
    section("USAGE", `   ${usage(page, path)}`),
    ...(isRoot ? [section("VERSION", `   ${version}`)] : []),
    ...(commands.length > 0 ? [section("COMMANDS", table([...commands, helpCommand]))] : []),
    ...(operands.length > 0 ? [section("ARGUMENTS", table(operands))] : []),
    ...(isRoot ? [] : [section("OPTIONS", table([...page.flags.map(flagRow), helpFlag]))]),
    section("GLOBAL OPTIONS", table(isRoot ? [...globals, helpFlag, versionFlag] : globals)),
    ...(examples === "" ? [] : [section("EXAMPLES", examples)])
  ].join("\n")
}

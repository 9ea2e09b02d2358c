/**
 * Arguments as the reference takes them, arranged for a parser that is stricter: flags by one or two dashes and at any place, `--x=false`, the last of
 * several values, surplus arguments left out, `help` at every level. Which commands and flags there are is given; only values are not looked at.
 */
import { suggest } from "./suggestion.ts"

export interface FlagShape {
  readonly name: string
  /** All names, without dashes. */
  readonly names: ReadonlyArray<string>
  readonly kind: "switch" | "value" | "list"
}

export interface CommandShape {
  readonly name: string
  readonly alias: string | undefined
  readonly flags: ReadonlyArray<FlagShape>
  /** The most arguments that mean something. */
  readonly operands: number
  readonly commands: ReadonlyArray<CommandShape>
}

/** `path` names the commands below the root by their proper names. */
export type Arrangement =
  | { readonly _tag: "Run"; readonly path: ReadonlyArray<string>; readonly argv: ReadonlyArray<string> }
  | { readonly _tag: "Help"; readonly path: ReadonlyArray<string> }
  | { readonly _tag: "Version"; readonly path: ReadonlyArray<string> }
  | {
      readonly _tag: "UsageError"
      readonly path: ReadonlyArray<string>
      readonly reason: string
      readonly suggestions: ReadonlyArray<string>
    }
  | {
      readonly _tag: "UnknownCommand"
      readonly path: ReadonlyArray<string>
      readonly word: string
      readonly suggestions: ReadonlyArray<string>
    }

/** What has been read so far. */
interface Reading {
  readonly command: CommandShape
  readonly path: ReadonlyArray<string>
  /** What is shown in place of running anything; help before the version. */
  readonly shown: "Help" | "Version" | undefined
  readonly operands: ReadonlyArray<string>
  /** By flag name; a switch has `true` or `false`. */
  readonly values: ReadonlyMap<string, ReadonlyArray<string>>
}

type Stop = Exclude<Arrangement, { readonly _tag: "Run" }>
type Step = { readonly reading: Reading; readonly used: 1 | 2 } | { readonly stop: Stop }

/** How Go's strconv.ParseBool reads a word. */
const booleans: ReadonlyMap<string, boolean> = new Map([
  ...["1", "t", "T", "true", "TRUE", "True"].map((word) => [word, true] as const),
  ...["0", "f", "F", "false", "FALSE", "False"].map((word) => [word, false] as const)
])

const isFlag = (argument: string): boolean => argument.startsWith("-") && argument.length > 1
const isHelp = (word: string): boolean => word === "help" || word === "h"
const isVersion = (word: string): boolean => word === "version" || word === "v"

const usageError = (reading: Reading, reason: string, suggestions: ReadonlyArray<string> = []): Step => ({
  stop: { _tag: "UsageError", path: reading.path, reason, suggestions }
})

const withValue = (reading: Reading, flag: FlagShape, value: string): Reading => {
  const before = flag.kind === "list" ? (reading.values.get(flag.name) ?? []) : []
  return { ...reading, values: new Map(reading.values).set(flag.name, [...before, value]) }
}

const readSwitch = (reading: Reading, flag: FlagShape, name: string, text: string | undefined): Step => {
  const value = booleans.get(text || "true")
  return value === undefined
    ? usageError(reading, `invalid value ${JSON.stringify(text)} for flag -${name}: parse error`)
    : { reading: withValue(reading, flag, String(value)), used: 1 }
}

const readFlag = (
  reading: Reading,
  globals: ReadonlyArray<FlagShape>,
  argument: string,
  next: string | undefined
): Step => {
  const [, name = "", , value] = /^--?([^=]*)(=([^]*))?$/.exec(argument) ?? []
  if (name === "" || name.startsWith("-")) return usageError(reading, `bad flag syntax: ${argument}`)
  const flags = [...reading.command.flags, ...globals]
  const flag = flags.find(({ names }) => names.includes(name))
  if (flag === undefined) {
    if (isHelp(name)) return { reading: { ...reading, shown: "Help" }, used: 1 }
    if (isVersion(name)) return { reading: { ...reading, shown: reading.shown ?? "Version" }, used: 1 }
    const near = suggest(
      name,
      flags.map((known) => known.name)
    )
    return usageError(
      reading,
      `flag provided but not defined: -${name}`,
      near.map((known) => `--${known}`)
    )
  }
  if (flag.kind === "switch") return readSwitch(reading, flag, name, value)
  if (value !== undefined) return { reading: withValue(reading, flag, value), used: 1 }
  if (next === undefined) return usageError(reading, `flag needs an argument: ${argument}`)
  return { reading: withValue(reading, flag, next), used: 2 }
}

const readOperand = (reading: Reading, word: string): Step => {
  const { commands } = reading.command
  if (commands.length === 0) return { reading: { ...reading, operands: [...reading.operands, word] }, used: 1 }
  const command = commands.find(({ name, alias }) => name === word || alias === word)
  if (command !== undefined) return { reading: { ...reading, command, path: [...reading.path, command.name] }, used: 1 }
  if (isHelp(word)) return { reading: { ...reading, shown: "Help" }, used: 1 }
  const known = commands.flatMap(({ name, alias }) => (alias === undefined ? [name] : [name, alias]))
  return { stop: { _tag: "UnknownCommand", path: reading.path, word, suggestions: suggest(word, known) } }
}

const finish = ({ command, shown, operands, path, values }: Reading): Arrangement => {
  if (shown !== undefined) return { _tag: shown, path }
  if (command.commands.length > 0) return { _tag: "Help", path }
  const flags = [...values].flatMap(([name, all]) => all.map((value) => `--${name}=${value}`))
  // Behind `--` nothing is taken for a flag, nor a negative number for something else.
  return { _tag: "Run", path, argv: [...path, ...flags, "--", ...operands.slice(0, command.operands)] }
}

/** `globals` may stand at any level; a command's own flag of the same name comes first. */
export const arrangeArguments = (
  root: CommandShape,
  globals: ReadonlyArray<FlagShape>,
  argv: ReadonlyArray<string>
): Arrangement => {
  let reading: Reading = { command: root, path: [], shown: undefined, operands: [], values: new Map() }
  let flagsEnded = false
  for (let at = 0; at < argv.length;) {
    const argument = argv[at] ?? ""
    if (argument === "--" && !flagsEnded) {
      flagsEnded = true
      at += 1
      continue
    }
    const step =
      flagsEnded || !isFlag(argument)
        ? readOperand(reading, argument)
        : readFlag(reading, globals, argument, argv[at + 1])
    if ("stop" in step) return step.stop
    reading = step.reading
    at += step.used
  }
  return finish(reading)
}

import { assert, describe, it } from "@effect/vitest"
import { arrangeArguments, type CommandShape, type FlagShape } from "../../../src/main/cli/arguments.ts"

const flag = (name: string, kind: FlagShape["kind"], ...aliases: ReadonlyArray<string>): FlagShape => ({
  name,
  names: [name, ...aliases],
  kind
})

const command = (name: string, parts: Partial<CommandShape> = {}): CommandShape => ({
  name,
  alias: undefined,
  flags: [],
  operands: 0,
  commands: [],
  ...parts
})

const create = command("create", {
  operands: 1,
  flags: [flag("span-size", "value"), flag("force", "switch", "f"), flag("platform", "list", "p")]
})
const list = command("list", { alias: "ls", flags: [flag("quiet", "switch", "q")] })
const run = command("run", { operands: Infinity })
const soci = command("soci", { commands: [create, run, command("index", { commands: [list, command("info")] })] })
const globals = [flag("root", "value"), flag("namespace", "value", "n"), flag("debug", "switch")]

const arrange = (line: string) => arrangeArguments(soci, globals, line === "" ? [] : line.split(" "))

const argvOf = (line: string) => {
  const arranged = arrange(line)
  return arranged._tag === "Run" ? arranged.argv.join(" ") : arranged
}

describe("arrangeArguments", () => {
  for (const [what, line, arranged] of [
    ["flags before an argument", "create --span-size 1 IMG", "create --span-size=1 -- IMG"],
    ["flags behind an argument", "create IMG --span-size 1", "create --span-size=1 -- IMG"],
    ["one dash", "create -span-size=1 -force IMG", "create --span-size=1 --force=true -- IMG"],
    ["two dashes before one letter", "create --f IMG", "create --force=true -- IMG"],
    ["a switch that is turned off", "create --force=false IMG", "create --force=false -- IMG"],
    ["Go's spellings of truth", "create -f=T IMG", "create --force=true -- IMG"],
    ["the last of two values", "create --span-size 1 --span-size 2 IMG", "create --span-size=2 -- IMG"],
    ["all values of a list", "create -p a,b -platform c IMG", "create --platform=a,b --platform=c -- IMG"],
    ["values that look like flags", "create --span-size -5 IMG", "create --span-size=-5 -- IMG"],
    ["values with an equals sign", "create --platform=a=b IMG", "create --platform=a=b -- IMG"],
    ["an empty value", "create --span-size= IMG", "create --span-size= -- IMG"],
    ["no argument at all", "create", "create --"],
    ["surplus arguments", "create IMG other more", "create -- IMG"],
    ["a lone dash", "create -", "create -- -"],
    ["the end of flags", "create -- --force", "create -- --force"],
    ["a second end of flags", "run -- a -- b", "run -- a -- b"],
    ["global flags in front", "--root R index list", "index list --root=R --"],
    ["global flags in the middle", "index -n ns list", "index list --namespace=ns --"],
    ["global flags at the end", "index list --root R --debug", "index list --root=R --debug=true --"],
    ["an alias of a command", "index ls -q", "index list --quiet=true --"]
  ] as const) {
    it(`takes ${what}: ${line}`, () => assert.deepStrictEqual(argvOf(line), arranged))
  }

  for (const [line, path] of [
    ["", []],
    ["help", []],
    ["h", []],
    ["--help", []],
    ["-h", []],
    ["help create", ["create"]],
    ["create --help", ["create"]],
    ["create -h IMG", ["create"]],
    ["index", ["index"]],
    ["index help list", ["index", "list"]],
    ["help index ls", ["index", "list"]],
    ["--root R index", ["index"]]
  ] as const) {
    it(`shows help for "soci ${line}"`, () => assert.deepStrictEqual(arrange(line), { _tag: "Help", path }))
  }

  for (const line of ["-v", "--version", "-version", "create -v"]) {
    it(`shows the version for "soci ${line}"`, () => assert.strictEqual(arrange(line)._tag, "Version"))
  }

  for (const [line, path, reason, suggestions] of [
    ["-bogus", [], "flag provided but not defined: -bogus", []],
    ["create --bogus", ["create"], "flag provided but not defined: -bogus", []],
    ["create --bogus=1 --help", ["create"], "flag provided but not defined: -bogus", []],
    ["create --spansize 1", ["create"], "flag provided but not defined: -spansize", ["--span-size"]],
    ["index --quiet list", ["index"], "flag provided but not defined: -quiet", []],
    ["create -fq", ["create"], "flag provided but not defined: -fq", []],
    ["create --span-size", ["create"], "flag needs an argument: --span-size", []],
    ["create --force=maybe", ["create"], 'invalid value "maybe" for flag -force: parse error', []],
    ["create ---force", ["create"], "bad flag syntax: ---force", []],
    ["create --=1", ["create"], "bad flag syntax: --=1", []]
  ] as const) {
    it(`refuses "soci ${line}"`, () =>
      assert.deepStrictEqual(arrange(line), { _tag: "UsageError", path, reason, suggestions }))
  }

  for (const [line, path, word, suggestions] of [
    ["crate", [], "crate", ["create"]],
    ["bogus", [], "bogus", []],
    ["help bogus", [], "bogus", []],
    ["index lst", ["index"], "lst", ["list", "ls"]]
  ] as const) {
    it(`knows no command for "soci ${line}"`, () =>
      assert.deepStrictEqual(arrange(line), { _tag: "UnknownCommand", path, word, suggestions }))
  }

  it("does not take the names of flags from what objects inherit", () => {
    const arranged = arrange("create --constructor")
    assert.strictEqual(arranged._tag, "UsageError")
  })
})

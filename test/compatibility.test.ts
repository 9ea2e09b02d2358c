/**
 * Holds docs/compatibility.md to the code: the tests it cites are there, its tables name exactly the flags that the help pages show, and its links
 * lead somewhere.
 *
 * A citation is a file below `test/` in backquotes with names of its tests in quotes behind it. `…` in a name stands for the parts that a
 * template fills in. Words in italics are rows of the fault table.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, readFileSync } from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { runCommandLine } from "../src/main/cli/commandLine.ts"
import { commands } from "../src/main/commands.ts"
import { printed } from "./support/consoleOutput.ts"
import { runSoci } from "./support/sociCommand.ts"
import { temporaryDirectory } from "./support/temporaryDirectory.ts"

const tests = fileURLToPath(new URL(".", import.meta.url))
const docs = path.join(tests, "..", "docs")
const page = readFileSync(path.join(docs, "compatibility.md"), "utf8")

const all = (text: string, pattern: RegExp): ReadonlyArray<RegExpExecArray> => [...text.matchAll(pattern)]
const firstOf = (text: string, pattern: RegExp): ReadonlyArray<string> =>
  all(text, pattern).map(([, first = ""]) => first)

const quoted = String.raw`"(?:[^"\\]|\\.)+"`

/** As it reads: without the marks of escaping, on one line, and with one sign for all that a template fills in. */
const plain = (name: string): string =>
  name
    .replaceAll(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, "…")
    .replaceAll(/…+/g, "…")
    .replaceAll(/\s+/g, " ")
    .replaceAll(/\\(.)/g, "$1")

interface Citation {
  readonly file: string
  readonly name: string
}

const citations: ReadonlyArray<Citation> = all(
  page,
  new RegExp(String.raw`\x60([\w/.-]+\.ts)\x60((?:[,\s]+${quoted})+)`, "g")
).flatMap(([, file = "", names = ""]) =>
  all(names, new RegExp(quoted, "g")).map(([name]) => ({ file, name: plain(name.slice(1, -1)) }))
)

const opening = String.raw`\b(?:it|test)(?:\.\w+)*(?:\([^()]*(?:\([^()]*\))?[^()]*\))?\(\s*`
const template = String.raw`\x60((?:[^\x60\\$]|\\.|\$(?!\{)|\$\{(?:[^{}]|\{[^{}]*\})*\})*)\x60`

/** The names of a file's tests, as far as they stand in the calls themselves. */
const testsIn = (file: string): ReadonlySet<string> => {
  const text = readFileSync(path.join(tests, file), "utf8")
  const names = all(text, new RegExp(String.raw`${opening}(?:"((?:[^"\\]|\\.)*)"|${template})`, "g"))
  return new Set(names.map(([, literal, filledIn]) => plain(literal ?? filledIn ?? "")))
}

/** Headings as GitHub makes anchors of them. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\w\s-]/g, "")
    .replaceAll(" ", "-")

interface Section {
  readonly title: string
  readonly text: string
}

const sections: ReadonlyMap<string, Section> = new Map(
  page
    .split(/^#+ /m)
    .slice(1)
    .map((section) => {
      const [title = ""] = section.split("\n")
      return [anchorOf(title), { title, text: section.slice(title.length) }]
    })
)

/** The flags that a section's table names, with those of the sections that its first cells link to. */
const namedFlags = (anchor: string): ReadonlyArray<string> => {
  const { text = "" } = sections.get(anchor) ?? {}
  return firstOf(text, /^\| ([^|]*)\|/gm).flatMap((cell) => [
    ...firstOf(cell, /`(--?[\w-]+)`/g),
    ...firstOf(cell, /\(#([\w-]+)\)/g).flatMap(namedFlags)
  ])
}

const help = (line: ReadonlyArray<string>) =>
  Effect.map(
    printed(runCommandLine(commands, [...line, "--help"])).pipe(Effect.provide(NodeServices.layer)),
    ({ stdout }) => stdout
  )

const part = (text: string, title: string): string =>
  new RegExp(String.raw`^${title}:\n((?: {3}.*\n|\n)*)`, "m").exec(text)?.[1] ?? ""

/** Names in the left column of a help page; its texts begin behind two blanks. */
const flagsIn = (text: string): ReadonlyArray<string> =>
  firstOf(text, /^ {3}(--?\S.*?)(?: {2}.*)?$/gm).flatMap((left) => firstOf(left, /(?:^|, )(--?[\w-]+)/g))

const isHelp = (flag: string): boolean => flag === "--help" || flag === "-h"
const unique = (flags: ReadonlyArray<string>): ReadonlyArray<string> => [...new Set(flags)].toSorted()

/** Commands with an action of their own, as words. */
const leaves = (line: ReadonlyArray<string> = []): Effect.Effect<ReadonlyArray<ReadonlyArray<string>>> =>
  Effect.gen(function* () {
    const names = firstOf(part(yield* help(line), "COMMANDS"), /^ {3}([\w-]+)/gm).filter((name) => name !== "help")
    if (names.length === 0) return [line]
    return (yield* Effect.forEach(names, (name) => leaves([...line, name]))).flat()
  })

describe("docs/compatibility.md", () => {
  it("cites tests that are there", () => {
    assert.isAbove(citations.length, 100)
    const known = new Map<string, ReadonlySet<string>>()
    const missing = citations.filter(({ file, name }) => {
      if (!existsSync(path.join(tests, file))) return true
      const names = known.get(file) ?? testsIn(file)
      known.set(file, names)
      return !names.has(name)
    })
    assert.deepStrictEqual(missing, [])
  })

  it("names no file of tests without a test in it", () => {
    const cited = new Set(citations.map(({ file }) => `test/${file}`))
    const named = firstOf(page, /`([\w/.-]+\.ts)`/g).map((file) =>
      /^(?:src|test)\//.test(file) ? file : `test/${file}`
    )
    const missing = named.filter((file) => !cited.has(file) && !existsSync(path.join(tests, "..", file)))
    assert.deepStrictEqual(missing, [])
    const uncited = named.filter((file) => file.startsWith("test/") && !cited.has(file))
    assert.deepStrictEqual(uncited, [])
  })

  it("names rows that the fault table has", () => {
    const table = readFileSync(path.join(tests, "layers/registry/faultTable.test.ts"), "utf8")
    const rows = firstOf(page, /(?<!\*)\*([^*\n|]+)\*(?!\*)/g)
    assert.isNotEmpty(rows)
    assert.deepStrictEqual(
      rows.filter((row) => !table.includes(`"${row}"`)),
      []
    )
  })

  it("has links that lead somewhere", () => {
    const broken = firstOf(page, /\]\(([^)\s]+)\)/g).filter((link) =>
      link.startsWith("#") ? !sections.has(link.slice(1)) : !existsSync(path.join(docs, link.replace(/#.*/, "")))
    )
    assert.deepStrictEqual(broken, [])
  })

  it.effect("names the global flags, all of them and no others", () =>
    Effect.gen(function* () {
      const shown = flagsIn(part(yield* help([]), "GLOBAL OPTIONS"))
      assert.isNotEmpty(shown)
      assert.deepStrictEqual(unique(namedFlags("global-flags")), unique(shown))
    })
  )

  it.effect("names the flags of each command, all of them and no others", () =>
    Effect.gen(function* () {
      const found = yield* leaves()
      assert.isAbove(found.length, 15)
      for (const line of found) {
        const anchor = anchorOf(`soci ${line.join(" ")}`)
        assert.isTrue(sections.has(anchor), `there is no section about ${line.join(" ")}`)
        const shown = flagsIn(part(yield* help(line), "OPTIONS")).filter((flag) => !isHelp(flag))
        assert.deepStrictEqual(unique(namedFlags(anchor)), unique(shown), line.join(" "))
      }
    })
  )

  it.live("takes flags of push that have no influence", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const ended = yield* runSoci("push", "--refresh", "--snapshotter", "overlayfs", "--root", root)
      const reason = "soci: please provide an image reference to push\n"
      assert.deepStrictEqual(ended, { code: 1, stdout: "", stderr: reason })
    })
  )
})

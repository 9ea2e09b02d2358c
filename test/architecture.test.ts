/**
 * The rules of the house that no linter knows: which way imports point, and what does not exist below main.
 */
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../src/", import.meta.url))

/** Each folder may import from itself and from those before it. */
const folders = ["services", "streams", "layers", "main"]

interface Source {
  readonly file: string
  readonly folder: number
  readonly text: string
  /** The text without comments, so that talking about a thing is not using it. */
  readonly code: string
  readonly imports: ReadonlyArray<string>
}

const read = (file: string): Source => {
  const text = readFileSync(path.join(root, file), "utf8")
  const code = text.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "")
  const imports = [...code.matchAll(/\b(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1] ?? "")
  return { file, folder: folders.indexOf(file.split("/")[0] ?? ""), text, code, imports }
}

const sources = globSync("**/*.ts", { cwd: root }).toSorted().map(read)

/** Asserts that a rule finds nothing in the files; what it finds is named with its place. */
const expectNone = (files: ReadonlyArray<Source>, offencesOf: (source: Source) => ReadonlyArray<string>) =>
  assert.deepStrictEqual(
    files.flatMap((source) => offencesOf(source).map((offence) => `${source.file}: ${offence}`)),
    []
  )

const below = (folder: string) => sources.filter(({ file }) => file.startsWith(folder))
const isRelative = (specifier: string) => specifier.startsWith(".")
const isNative = (specifier: string) => ["koffi", "fuse-native"].includes(specifier)

const banned =
  /\b(?:setTimeout|setInterval|setImmediate)\(|\bforkDetach\b|\bEffect\.run(?:Promise|Sync|Callback)\w*|\bprocess\.exit\b/g
const badName = /^(?:index|utils?|helpers?|common|types)\.ts$/
const effectImport = /import\s+(?:type\s+)?([^;]*?)\s+from "effect(?:\/[^"]*)?"/g

describe("the house", () => {
  it("has only the four folders", () => {
    expectNone(sources, ({ folder }) => (folder < 0 ? ["is in none of them"] : []))
  })

  it("imports one way: services, streams, layers, main", () => {
    expectNone(sources, ({ file, folder, imports }) =>
      imports.filter((specifier) => {
        const target = folders.indexOf(path.join(path.dirname(file), specifier).split("/")[0] ?? "")
        return isRelative(specifier) && (target < 0 || target > folder)
      })
    )
  })

  it("describes services without any platform: they import each other and the root of effect", () => {
    expectNone(below("services/"), ({ imports }) => imports.filter((name) => !isRelative(name) && name !== "effect"))
  })

  it("keeps formats free of Effect: a codec takes Result from it, and nothing else", () => {
    expectNone(below("streams/codec/"), ({ code }) =>
      [...code.matchAll(effectImport)]
        .map((match) => match[1] ?? "")
        .filter((names) => names.replaceAll(/\* as |type |[{}\s]/g, "") !== "Result")
    )
  })

  it("loads native code in src/layers/native only", () => {
    expectNone(sources, ({ file, imports }) => (file.startsWith("layers/native/") ? [] : imports.filter(isNative)))
  })

  it("has no timer, no detached fiber, no exit and no runtime of its own below main", () => {
    expectNone(sources, ({ code, file }) =>
      file.startsWith("main/") ? [] : [...code.matchAll(banned)].map((match) => match[0])
    )
  })

  it("imports relative files with their extension, and files are named after what they hold", () => {
    expectNone(sources, ({ file, imports }) => [
      ...imports.filter((specifier) => isRelative(specifier) && !specifier.endsWith(".ts")),
      ...(badName.test(path.basename(file)) ? ["says nothing by its name"] : [])
    ])
  })

  it("begins each file with what it is about", () => {
    expectNone(sources, ({ text }) => (/^(?:#!.*\n)?\/\*\*/.test(text) ? [] : ["has no head comment"]))
  })
})

import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as ContentStoreLayout from "../../../src/layers/ContentStoreLayout.ts"
import { ContentStore } from "../../../src/services/ContentStore.ts"
import { noise } from "../../support/content.ts"
import { embeddedRegistry } from "../../support/embeddedRegistry.ts"
import { storeImageOf } from "../../support/imageOf.ts"
import { onTerminal } from "../../support/onTerminal.ts"
import { hasProgram } from "../../support/programs.ts"
import { runSoci, sociFile } from "../../support/sociCommand.ts"
import { terminalScreen } from "../../support/terminalScreen.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const missing = ["script", "stty"].filter((program) => !hasProgram(program)).join(", ")
const why = missing === "" ? "" : ` (skipped: ${missing} is missing)`

const bars = (screen: string): ReadonlyArray<string> =>
  [...screen.matchAll(/(?:index|upload) [0-9a-f]{12} [^\r\n]*/g)].map(([bar]) => bar.replace(/.\[J.*$/, ""))

/** Bytes that gzip cannot shrink, for the price of a million of them. */
const incompressible = (megabytes: number, seed: number) =>
  Buffer.concat(Array.from({ length: megabytes }, () => noise(1_000_000, seed)))

/** An image that takes a while to index, in a layout. */
const bigLayout = Effect.gen(function* () {
  const layout = yield* temporaryDirectory
  yield* Effect.provide(
    Effect.flatMap(ContentStore, (store) =>
      storeImageOf(store, "v1", [
        [{ name: "a", content: incompressible(25, 1) }],
        [{ name: "b", content: incompressible(25, 2) }]
      ])
    ),
    ContentStoreLayout.layer({ root: layout }) satisfies Layer.Layer<ContentStore, unknown>
  )
  return layout
})

describe.skipIf(missing !== "")(`progress on a terminal${why}`, () => {
  it.live("is bars on standard error, as wide as the terminal and gone at the end; standard output is as ever", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { host } = yield* embeddedRegistry()
      const layout = yield* bigLayout
      const stdout = path.join(directory, "stdout")
      const command = [process.execPath, sociFile, "convert", "--standalone", layout, `docker://${host}/app:soci`]
      const { code, screen } = yield* onTerminal(command, { columns: 70, stdout })
      assert.strictEqual(code, 0, screen)
      assert.match(screen, /index [0-9a-f]{12} +\[=* *\] +\d+% {2}\d+\.\d MB\/\d+\.\d MB/)
      assert.match(screen, /upload [0-9a-f]{12}/)
      const lines = terminalScreen(screen)
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0] ?? "", /^converted image sha256:[0-9a-f]{64} is docker:/)
      assert.isAtMost(Math.max(...bars(screen).map((bar) => bar.length)), 69)
      const written = yield* Effect.promise(() => fs.readFile(stdout, "utf8"))
      assert.notInclude(written, "\u001b")
      assert.match(written, /^layer sha256:[0-9a-f]{64} -> ztoc sha256:[0-9a-f]{64}\n/)
    })
  )

  it.live("is nothing where standard error is no terminal", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const output = path.join(directory, "out.tar")
      const ended = yield* runSoci("convert", "--standalone", yield* bigLayout, output)
      assert.match(ended.stderr, /^converted image sha256:[0-9a-f]{64} is .*\n$/)
    })
  )
})

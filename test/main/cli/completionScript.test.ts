import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { completionScript } from "../../../src/main/cli/completionScript.ts"
import { commands } from "../../../src/main/commands.ts"
import { hasProgram, runProgram } from "../../support/programs.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const scriptFor = (shell: "bash" | "zsh" | "fish") =>
  Effect.map(
    Effect.forEach(commands, ({ load }) => load),
    (loaded) => completionScript(loaded, shell)
  )

/** What bash would offer with the cursor behind the last word, as readline asks for it. */
const asking = `source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=$(($(echo -n "$*" | wc -c))) COMPREPLY=()
_soci soci "\${@: -1}" "\${@: -2:1}"
echo "\${COMPREPLY[*]}"`

const offered = Effect.fnUntraced(function* (...words: ReadonlyArray<string>) {
  const file = path.join(yield* temporaryDirectory, "soci.bash")
  const script = yield* scriptFor("bash")
  yield* Effect.promise(() => fs.writeFile(file, script))
  return (yield* runProgram("bash", "--norc", "-c", asking, "bash", file, ...words)).trim()
})

describe.skipIf(!hasProgram("bash"))("completion in bash", () => {
  for (const [words, expected] of [
    [["soci", "ind"], "index"],
    [["soci", "index", "li"], "list"],
    [["soci", "index", "list", "--qui"], "--quiet"],
    [["soci", "--root", "/x", "cre"], "create"],
    [["soci", "create", "--roo"], "--root"],
    [["soci", "help", "reb"], "rebuild-db"],
    [["soci", "completion", ""], "bash zsh fish"],
    [["soci", "mount", "--mount-mode", "e"], "erofs"],
    [["soci", "create", "--no-"], ""]
  ] as const) {
    it.live(`offers ${expected || "nothing"} for: ${words.join(" ")}`, () =>
      Effect.map(offered(...words), (found) => assert.strictEqual(found, expected))
    )
  }
})

describe("completion", () => {
  for (const shell of ["bash", "zsh", "fish"] as const) {
    it.live(`tells how it is installed in ${shell}, in our words`, () =>
      Effect.map(scriptFor(shell), (script) => {
        assert.include(script, `soci completion ${shell}`)
        assert.notInclude(script, "--completions")
      })
    )
  }

  for (const shell of ["zsh", "fish"] as const) {
    const missing = !hasProgram(shell)
    it.live.skipIf(missing)(
      `is a script that ${shell} can read${missing ? ` (skipped: ${shell} is needed)` : ""}`,
      () =>
        Effect.gen(function* () {
          const file = path.join(yield* temporaryDirectory, "script")
          const script = yield* scriptFor(shell)
          yield* Effect.promise(() => fs.writeFile(file, script))
          yield* runProgram(shell, "-n", file)
        })
    )
  }
})

/**
 * Runs one of the programs of a directory, or lists them with the first sentence of their head comment.
 *
 *   node scripts/programs.mjs DIRECTORY [NAME [ARGUMENT...]]
 */
import { spawn } from "node:child_process"
import { existsSync, globSync, readFileSync } from "node:fs"
import { constants } from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../", import.meta.url))
const [directory = "bench", name, ...args] = process.argv.slice(2)

const fileOf = (program) => path.join(root, directory, `${program}.ts`)

const summaryOf = (program) => {
  const comment = /^\/\*\*\s*([^]*?)\*\//.exec(readFileSync(fileOf(program), "utf8"))?.[1] ?? ""
  const text = comment.replaceAll(/\s*\n\s*\*?\s*/g, " ").replace(/^[\s*]+/, "")
  return text.split(/(?<=[.:]) /)[0] ?? ""
}

const list = () => {
  const programs = globSync("*.ts", { cwd: path.join(root, directory) })
    .map((file) => path.basename(file, ".ts"))
    .toSorted()
  console.log(
    programs.length === 0
      ? `There are no programs in ${directory} yet.`
      : `Programs in ${directory}, each run by its name:`
  )
  for (const program of programs) console.log(`  ${program.padEnd(24)} ${summaryOf(program)}`)
}

const run = () => {
  const child = spawn(process.execPath, [fileOf(name), ...args], { stdio: "inherit" })
  // Ctrl-C reaches the program by itself: it cleans up, then we end with its code.
  process.on("SIGINT", () => {})
  process.on("SIGTERM", () => child.kill("SIGTERM"))
  child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
}

if (name === undefined) list()
else if (existsSync(fileOf(name))) run()
else {
  console.error(`There is no ${directory}/${name}.ts.`)
  list()
  process.exitCode = 1
}

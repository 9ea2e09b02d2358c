/**
 * How long `soci --help` takes, beside `node -e 0` in the same run. Of the bundle: build it first.
 *
 *   npm run bench startup [-- --rounds 21]
 */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const soci = fileURLToPath(new URL("../dist/main/soci.js", import.meta.url))
const bundle = fileURLToPath(new URL("../dist/main/soci.bundle.js", import.meta.url))
const { rounds } = parseArgs({ options: { rounds: { type: "string", default: "21" } } }).values

/** The most that is allowed, in times of an empty process. */
const limit = 3.5

const programs = [
  { name: "node -e 0", arguments: ["-e", "0"] },
  { name: "soci --help", arguments: [soci, "--help"] },
  { name: "soci --version", arguments: [soci, "--version"] },
  { name: "soci create --help", arguments: [soci, "create", "--help"] },
  { name: "soci ztoc --help", arguments: [soci, "ztoc", "--help"] }
]

const millisecondsOf = (args: ReadonlyArray<string>): number => {
  const started = performance.now()
  const { status } = spawnSync(process.execPath, args, { stdio: "ignore" })
  if (status !== 0) throw new Error(`${args.join(" ")} ended with ${status}`)
  return performance.now() - started
}

const median = (times: ReadonlyArray<number>): number =>
  times.toSorted((a, b) => a - b)[times.length >> 1] ?? Number.NaN

/** The programs take turns, so that what else the machine does meets all of them. The first round fills the compile cache. */
const measure = (): ReadonlyArray<number> => {
  const times = programs.map((): Array<number> => [])
  for (let round = -1; round < Number(rounds); round++) {
    for (const [i, program] of programs.entries()) {
      const milliseconds = millisecondsOf(program.arguments)
      if (round >= 0) times[i]?.push(milliseconds)
    }
  }
  return times.map(median)
}

if (!existsSync(bundle)) {
  console.error("There is no bundle to measure: npm run build makes it.")
  process.exit(1)
}
const medians = measure()
const empty = medians[0] ?? Number.NaN
console.log(`medians of ${rounds} runs, taking turns`)
for (const [i, { name }] of programs.entries()) {
  const milliseconds = medians[i] ?? Number.NaN
  console.log(`${name.padEnd(20)} ${milliseconds.toFixed(1).padStart(7)} ms ${(milliseconds / empty).toFixed(2)} times`)
}
const ratio = (medians[1] ?? Number.NaN) / empty
console.log(`soci --help within ${limit} times node -e 0: ${ratio <= limit ? "yes" : "no"}`)
process.exitCode = ratio <= limit ? 0 : 1

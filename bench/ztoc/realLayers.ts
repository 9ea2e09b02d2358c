/**
 * Gzip layers of this machine's own files: real sizes, real content, made by the system's tar and gzip.
 */
import { execFileSync } from "node:child_process"
import { closeSync, globSync, lstatSync, openSync, rmSync, statSync, writeFileSync } from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const sources = ["/usr/lib", "/usr/share", "/usr/bin", fileURLToPath(new URL("../../node_modules", import.meta.url))]

/** Single files that would be most of a layer say nothing about layers. */
const largestFile = 16 * 1024 * 1024

/** The machine's files and their sizes, in an order that stays. */
const machineFiles = function* (): Generator<readonly [file: string, size: number]> {
  for (const source of sources) {
    for (const file of globSync("**/*", { cwd: source }).toSorted()) {
      const found = path.join(source, file)
      const stat = lstatSync(found, { throwIfNoEntry: false })
      if (stat?.isFile() && stat.size < largestFile) yield [found, stat.size]
    }
  }
}

/** Lists of files of so many bytes each, one behind the other; the last are smaller where the machine has no more. */
export const chooseFiles = (sizes: ReadonlyArray<number>): ReadonlyArray<ReadonlyArray<string>> => {
  const lists: Array<Array<string>> = sizes.map(() => [])
  let filling = 0
  let bytes = 0
  for (const [file, size] of machineFiles()) {
    const list = lists[filling]
    if (list === undefined) break
    list.push(file)
    bytes += size
    if (bytes >= (sizes[filling] ?? 0)) {
      filling++
      bytes = 0
    }
  }
  return lists
}

/** Writes a layer and answers with its uncompressed size. */
export const makeLayer = (file: string, files: ReadonlyArray<string>, level: number): number => {
  const tar = `${file}.tar`
  writeFileSync(`${file}.list`, files.join("\0"))
  execFileSync("tar", ["-C", "/", "--null", "--no-recursion", "--hard-dereference", "-T", `${file}.list`, "-cPf", tar])
  const { size } = statSync(tar)
  const output = openSync(file, "w")
  execFileSync("gzip", [`-${level}`, "-c", tar], { stdio: ["ignore", output, "inherit"] })
  closeSync(output)
  rmSync(tar)
  return size
}

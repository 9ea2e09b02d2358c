/**
 * The mounts this process sees (proc(5), /proc/PID/mountinfo).
 */
import { Effect } from "effect"
import * as fs from "node:fs/promises"

export interface MountEntry {
  readonly mountPoint: string
  readonly fileSystem: string
  /** The file system's own options, where an overlay names its directories. */
  readonly options: string
}

const unescaped = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))

const parseLine = (line: string): ReadonlyArray<MountEntry> => {
  const [before = "", after = ""] = line.split(" - ", 2)
  const mountPoint = before.split(" ")[4]
  const [fileSystem, , options = ""] = after.split(" ")
  if (mountPoint === undefined || fileSystem === undefined) return []
  return [{ mountPoint: unescaped(mountPoint), fileSystem, options: unescaped(options) }]
}

/** In the order they were mounted. */
export const parseMountTable = (text: string): ReadonlyArray<MountEntry> => text.split("\n").flatMap(parseLine)

export const mountTable: Effect.Effect<ReadonlyArray<MountEntry>> = Effect.map(
  Effect.promise(() => fs.readFile("/proc/self/mountinfo", "utf8")),
  parseMountTable
)

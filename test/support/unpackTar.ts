/**
 * Unpacks archives as a caller of the service would, into a directory that is gone with the scope.
 */
import { Effect } from "effect"
import * as fs from "node:fs"
import { Unpacker, type WhiteoutForm } from "../../src/services/Unpacker.ts"
import { chunked } from "./content.ts"
import { temporaryDirectory } from "./temporaryDirectory.ts"

export const isRoot = process.geteuid?.() === 0

/** A directory inside of another one that nothing may get out to. */
export const unpackTarget = Effect.map(temporaryDirectory, (outside) => {
  const directory = `${outside}/root`
  fs.mkdirSync(directory)
  return { outside, directory }
})

/** Chunks of an odd size, so that entries lie across them. */
export const unpackTar = (directory: string, tar: Uint8Array, whiteouts: WhiteoutForm = "overlay") =>
  Unpacker.use((unpacker) => unpacker.unpack(chunked(tar, 10_007), { directory, whiteouts }))

/** What this process has open below a directory. */
export const openBelow = (directory: string): ReadonlyArray<string> =>
  fs
    .readdirSync("/proc/self/fd")
    .map((descriptor) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${descriptor}`)
      } catch {
        return ""
      }
    })
    .filter((path) => path.startsWith(directory))

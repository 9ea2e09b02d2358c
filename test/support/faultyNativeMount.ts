/**
 * A process whose mount by libfuse meets a bug in every operation: `node faultyNativeMount.ts DIRECTORY`. Prints, as JSON, what a program got
 * there, how many faults were logged, and whether children got the mount's device.
 */
import { Effect, Logger } from "effect"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import { promisify } from "node:util"
import { unknownStatistics } from "../../src/layers/fuse/spanStatistics.ts"
import type { NativeFiles } from "../../src/layers/fuseNative/NativeFiles.ts"
import { openNativeMount } from "../../src/layers/fuseNative/nativeMount.ts"
import { nativeOptions } from "../../src/layers/fuseNative/nativeOptions.ts"

const [, , directory = ""] = process.argv
const mountPoint = `${directory}/mnt`
fs.mkdirSync(mountPoint)

const bug = (): never => {
  throw new Error("a bug")
}
const attributes = (node: number, mode: number, size: number) => ({
  node,
  mode,
  size,
  seconds: 0,
  nanoseconds: 0,
  nlink: 1,
  uid: 0,
  gid: 0,
  rdev: 0
})

/** A root with a file and a link can be looked at, and nothing else. */
const files: NativeFiles = {
  statistics: unknownStatistics,
  attributes: (path) =>
    path === "/"
      ? attributes(1, 0o040755, 0)
      : path === "/file"
        ? attributes(2, 0o100644, 10)
        : path === "/link"
          ? attributes(3, 0o120777, 4)
          : bug(),
  list: bug,
  target: bug,
  xattr: bug,
  xattrs: bug,
  open: () => 7,
  content: bug
}

const errorOf = (command: string, ...args: ReadonlyArray<string>) =>
  Effect.promise(() =>
    promisify(execFile)(command, [...args]).then(
      () => "none",
      (error: Error) => error.message
    )
  )

let logged = 0
const counting = Logger.make(() => {
  logged++
})

const program = Effect.gen(function* () {
  yield* openNativeMount({ mountPoint, options: nativeOptions("test", "test", "tree"), files, served: new Set() })
  const errors = yield* Effect.forEach(
    [
      ["stat", `${mountPoint}/other`],
      ["ls", mountPoint],
      ["readlink", "-v", `${mountPoint}/link`],
      ["cat", `${mountPoint}/file`]
    ] as const,
    ([command, ...args]) => errorOf(command, ...args)
  )
  const { stdout } = yield* Effect.promise(() => promisify(execFile)("ls", ["-l", "/proc/self/fd"]))
  return {
    refused: errors.map((error) => error.includes("Input/output error")),
    logged,
    inherited: stdout.includes("/dev/fuse")
  }
}).pipe(Effect.scoped, Effect.provide(Logger.layer([counting])))

process.stdout.write(JSON.stringify(await Effect.runPromise(program)))

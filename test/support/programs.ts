/**
 * Programs of the system that judge what we do.
 */
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { accessSync, constants } from "node:fs"
import * as path from "node:path"

/** Whether a program can be run; tests that need it skip aloud where not. */
export const hasProgram = (name: string): boolean =>
  (process.env["PATH"] ?? "").split(":").some((directory) => {
    try {
      accessSync(path.join(directory, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })

/** Runs a program to its end; fails with what it wrote to standard error. It is killed when the fiber is interrupted. */
export const runProgram = (name: string, ...args: ReadonlyArray<string>): Effect.Effect<string, Error> =>
  Effect.callback((resume) => {
    const child = execFile(name, args, { maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) =>
      resume(error === null ? Effect.succeed(stdout) : Effect.fail(new Error(`${name} ${args.join(" ")}: ${stderr}`)))
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

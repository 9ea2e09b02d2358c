/**
 * Going to the background: the program starts itself again, waits for word that the mount is there, and leaves.
 */
import { Console, Effect } from "effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { CommandRefused } from "./commandFailure.ts"

/** Set for the copy in the background: the descriptor on which it reports. */
const variable = "SOCI_REPORT_DESCRIPTOR"
const reportDescriptor = 3

/** A file without a name for what the copy has to say: it must not hold a terminal, nor write into a closed pipe. */
const openLog = (): number => {
  const file = path.join(fs.mkdtempSync(path.join(tmpdir(), "soci-")), "log")
  const descriptor = fs.openSync(file, "wx+", 0o600)
  fs.rmSync(path.dirname(file), { recursive: true })
  return descriptor
}

const readLog = (descriptor: number): string => {
  const { size } = fs.fstatSync(descriptor)
  const text = Buffer.alloc(Math.min(size, 64 * 1024))
  fs.readSync(descriptor, text, 0, text.length, 0)
  return text
    .toString()
    .trim()
    .replace(/^soci: /, "")
}

const withoutDetach = (argument: string): boolean => !/^--?(?:d|detach)(?:=.*)?$/.test(argument)

/** Starts the same command in the background and ends when it has reported; fails with what it said when it could not mount. */
export const detach: Effect.Effect<void, CommandRefused> = Effect.scoped(
  Effect.gen(function* () {
    const log = yield* Effect.acquireRelease(Effect.sync(openLog), (descriptor) =>
      Effect.sync(() => fs.closeSync(descriptor))
    )
    const report = yield* Effect.callback<string>((resume) => {
      const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1).filter(withoutDetach)], {
        detached: true,
        stdio: ["ignore", "ignore", log, "pipe"],
        env: { ...process.env, [variable]: String(reportDescriptor) }
      })
      let text = ""
      child.stdio[reportDescriptor]?.on("data", (chunk: Buffer) => (text += chunk.toString()))
      child.stdio[reportDescriptor]?.on("end", () => resume(Effect.succeed(text)))
      child.unref()
      // Nobody waits any more: what was begun must not go on alone.
      return Effect.sync(() => child.kill("SIGTERM"))
    })
    if (report !== "") return yield* Console.log(report.trim())
    return yield* new CommandRefused({ reason: readLog(log) || "the mount ended without a word" })
  })
)

/** Tells the waiting foreground process that the mount is there; false when there is none. */
export const reportMounted = (line: string): Effect.Effect<boolean> =>
  Effect.sync(() => {
    const descriptor = Number(process.env[variable])
    if (descriptor !== reportDescriptor) return false
    fs.writeSync(descriptor, `${line}\n`)
    fs.closeSync(descriptor)
    return true
  })

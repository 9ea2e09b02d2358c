/**
 * Programs as processes: how long they take with their start, and the memory they had at most.
 */
import { Effect, Schedule } from "effect"
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"

/** Peak resident memory of a process in bytes, 0 when it has ended. */
const peakMemory = (pid: number | undefined): number => {
  try {
    return 1024 * Number(/VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0)
  } catch {
    return 0
  }
}

/** Runs a program with its output to /dev/null; it is killed when the fiber is interrupted. */
export const runProcess = (program: string, ...args: ReadonlyArray<string>): Effect.Effect<void, Error> =>
  Effect.asVoid(runWatched(program, args, false))

/** The same; answers with the process's peak resident memory in bytes, seen every 10 ms. */
export const peakMemoryOf = (program: string, ...args: ReadonlyArray<string>): Effect.Effect<number, Error> =>
  runWatched(program, args, true)

const runWatched = (program: string, args: ReadonlyArray<string>, watched: boolean): Effect.Effect<number, Error> =>
  Effect.acquireUseRelease(
    Effect.sync(() => spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] })),
    (child) => {
      let peak = 0
      const watch = Effect.sync(() => {
        peak = Math.max(peak, peakMemory(child.pid))
      })
      const ended = Effect.callback<number, Error>((resume) => {
        child.once("error", (error) => resume(Effect.fail(error)))
        child.once("exit", (code) =>
          resume(
            code === 0 ? Effect.sync(() => peak) : Effect.fail(new Error(`${program} ${args.join(" ")}: code ${code}`))
          )
        )
      })
      return watched
        ? Effect.raceFirst(ended, Effect.repeat(watch, Schedule.spaced("10 millis")).pipe(Effect.andThen(Effect.never)))
        : ended
    },
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

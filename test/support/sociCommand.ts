/**
 * The command line as a process of its own: arguments in; exit code and output out.
 */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

export const sociFile = fileURLToPath(new URL("../../src/main/soci.ts", import.meta.url))

export interface Ended {
  /** Negative when a signal ended it. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunningProgram {
  readonly child: ChildProcess
  readonly ended: Effect.Effect<Ended>
  readonly stdout: () => string
}

export interface ProgramOptions {
  /** Added to our own; `undefined` takes one away. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  readonly directory?: string
}

const text = (chunks: ReadonlyArray<Buffer>): string => Buffer.concat(chunks).toString()

/** Starts it; it is killed with the scope should it still run. */
export const startSoci = (
  args: ReadonlyArray<string>,
  { environment = {}, directory }: ProgramOptions = {}
): Effect.Effect<RunningProgram, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [sociFile, ...args], {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, ...environment },
        ...(directory === undefined ? {} : { cwd: directory })
      })
      const [stdout, stderr]: [Array<Buffer>, Array<Buffer>] = [[], []]
      child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk))
      child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk))
      const ended = new Promise<Ended>((resolve) =>
        child.on("close", (code) => resolve({ code: code ?? -1, stdout: text(stdout), stderr: text(stderr) }))
      )
      return { child, ended: Effect.promise(() => ended), stdout: () => text(stdout) }
    }),
    ({ child, ended }) =>
      Effect.andThen(
        Effect.sync(() => child.kill("SIGKILL")),
        ended
      )
  )

/** Runs it to its end. */
export const runSociWith = (options: ProgramOptions, ...args: ReadonlyArray<string>): Effect.Effect<Ended> =>
  Effect.scoped(Effect.flatMap(startSoci(args, options), ({ ended }) => ended))

export const runSoci = (...args: ReadonlyArray<string>): Effect.Effect<Ended> => runSociWith({}, ...args)

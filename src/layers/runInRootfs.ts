/**
 * Runs a program with a directory as its root, in mount and process name spaces of its own.
 */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { constants } from "node:os"
import * as path from "node:path"
import { ProgramNotStarted } from "../services/ImageMounter.ts"
import { isDirectoryItself } from "./isDirectoryItself.ts"

export interface ProgramInRootfs {
  readonly rootfs: string
  readonly command: ReadonlyArray<string>
  readonly environment: Readonly<Record<string, string>>
  readonly workingDirectory: string
  /** Where standard output goes; the other streams are this process's own. */
  readonly onOutput?: (bytes: Uint8Array) => void
}

/** unshare(1) enters the root only after it has made the name spaces, and takes the program down with itself. */
const unshareArguments = ({ rootfs, workingDirectory, command }: ProgramInRootfs, hasProc: boolean) => [
  "--mount",
  "--pid",
  "--fork",
  "--kill-child",
  `--root=${rootfs}`,
  `--wd=${workingDirectory}`,
  ...(hasProc ? ["--mount-proc"] : []),
  "--",
  ...command
]

/** Runs the program to its end; answers with its exit code, or 128 and the number of the signal that killed it. */
export const runInRootfs = Effect.fn("runInRootfs")(function* (program: ProgramInRootfs) {
  const hasProc = yield* isDirectoryItself(path.join(program.rootfs, "proc"))
  return yield* Effect.callback<number, ProgramNotStarted>((resume) => {
    const child = spawn("unshare", unshareArguments(program, hasProc), {
      env: program.environment,
      stdio: ["inherit", program.onOutput ? "pipe" : "inherit", "inherit"]
    })
    if (program.onOutput) child.stdout?.on("data", program.onOutput)
    child.on("error", (cause) =>
      resume(Effect.fail(new ProgramNotStarted({ command: program.command.join(" "), rootfs: program.rootfs, cause })))
    )
    child.on("close", (code, signal) =>
      resume(Effect.succeed(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
    )
    return stop(child)
  })
})

/** The mount below the program can only go when the program is gone. */
const stop = (child: ReturnType<typeof spawn>): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.on("close", () => resume(Effect.void))
    child.kill("SIGKILL")
    return undefined
  })

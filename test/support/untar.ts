/**
 * One file of a compressed tar, by the system's tar.
 */
import { Effect } from "effect"
import { execFile } from "node:child_process"

export const untar = (archive: string, name: string): Effect.Effect<Buffer> =>
  Effect.callback((resume) => {
    const options = { encoding: "buffer", maxBuffer: 64 * 1024 * 1024 } as const
    const child = execFile("tar", ["-xzOf", archive, name], options, (error, stdout) =>
      resume(error === null ? Effect.succeed(stdout) : Effect.die(error))
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

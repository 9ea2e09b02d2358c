/**
 * Mounts whose process was killed.
 */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"

const program = fileURLToPath(new URL("mountForever.ts", import.meta.url))

/** Runs `mountForever.ts` until it has mounted, then kills it. Succeeds once the process has ended. */
export const mountAndDie = (
  directory: string,
  then: "prepare" | "open",
  driver: "kernel" | "fuse-native" = "kernel"
): Effect.Effect<void> =>
  Effect.promise(async () => {
    const child = spawn(process.execPath, [program, directory, then, driver], { stdio: ["ignore", "pipe", "inherit"] })
    const ended = once(child, "exit")
    await once(child.stdout, "data")
    child.kill("SIGKILL")
    await ended
  })

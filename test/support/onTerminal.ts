/**
 * A program on a terminal of its own, made by script(1) of util-linux: what it writes there, control characters included.
 */
import { Effect } from "effect"
import { spawn } from "node:child_process"

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`

/** Standard output goes to a file where it is wanted apart; standard error is the terminal. */
export const onTerminal = (
  command: ReadonlyArray<string>,
  { columns = 80, stdout = "/dev/null" }: { readonly columns?: number; readonly stdout?: string } = {}
): Effect.Effect<{ readonly code: number; readonly screen: string }> =>
  Effect.callback((resume) => {
    const line = `stty cols ${columns} rows 24; ${command.map(quoted).join(" ")} > ${quoted(stdout)}`
    const child = spawn("script", ["-qec", line, "/dev/null"], {
      stdio: ["ignore", "pipe", "ignore"],
      env: { ...process.env, TERM: "xterm" }
    })
    const written: Array<Buffer> = []
    child.stdout.on("data", (chunk: Buffer) => written.push(chunk))
    child.on("close", (code) => resume(Effect.succeed({ code: code ?? -1, screen: Buffer.concat(written).toString() })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

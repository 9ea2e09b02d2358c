import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { startSoci } from "../support/sociCommand.ts"

const program = fileURLToPath(new URL("../support/neverCleanedUp.ts", import.meta.url))

const started = Effect.acquireRelease(
  Effect.sync(() => {
    const child = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "pipe"] })
    const output = { stdout: "", stderr: "" }
    child.stdout.on("data", (chunk: Buffer) => (output.stdout += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => (output.stderr += chunk.toString()))
    const ended = new Promise<number | null>((resolve) => child.on("close", resolve))
    return { child, output, ended }
  }),
  ({ child, ended }) =>
    Effect.promise(() => {
      child.kill("SIGKILL")
      return ended
    })
)

const until = (check: () => boolean) =>
  Effect.sync(check).pipe(
    Effect.repeat({ until: (done) => done, schedule: Schedule.spaced("20 millis") }),
    Effect.timeout("30 seconds"),
    Effect.orDie
  )

describe("runProgram", () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it.live(`cleans up on ${signal}, and ends at once on the next one`, () =>
      Effect.gen(function* () {
        const { child, output, ended } = yield* started
        yield* until(() => output.stdout.includes("ready"))
        child.kill(signal)
        yield* until(() => output.stdout.includes("cleaning up"))
        // A signal that is passed on twice is no second one: it is sent until it counts.
        yield* until(() => {
          child.kill(signal)
          return child.exitCode !== null
        })
        assert.strictEqual(yield* Effect.promise(() => ended), 130)
        assert.include(output.stderr, "stubborn: ended before all was cleaned up\n")
      })
    )
  }

  it.live("says nothing when nobody reads what it prints", () =>
    Effect.gen(function* () {
      const { child, ended } = yield* startSoci(["--help"])
      child.stdout?.destroy()
      const { code, stderr } = yield* ended
      assert.strictEqual(stderr, "")
      assert.strictEqual(code, 0)
    })
  )

  it.live("logs warnings and what is worse on standard error, in the reference's form", () =>
    Effect.gen(function* () {
      const { output } = yield* started
      yield* until(() => output.stdout.includes("ready"))
      assert.match(output.stderr, /^time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ" level=warning msg="waits"\n$/)
    })
  )
})

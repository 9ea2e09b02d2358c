import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { canFuse, canOverlay } from "../support/kernelFeatures.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const demo = fileURLToPath(new URL("../../src/main/demo.ts", import.meta.url))

/** Runs the demo with a directory of its own for temporary files; `onOutput` sees what it says as it says it. */
const runDemo = (directory: string, onOutput: (text: string, interrupt: () => void) => void = () => {}) =>
  Effect.callback<{ readonly code: number | null; readonly output: string }>((resume) => {
    const child = spawn(process.execPath, [demo], { env: { ...process.env, TMPDIR: directory } })
    let output = ""
    const collect = (chunk: Buffer) => {
      output += chunk.toString()
      onOutput(output, () => child.kill("SIGINT"))
    }
    child.stdout.on("data", collect)
    child.stderr.on("data", collect)
    child.on("close", (code) => resume(Effect.succeed({ code, output })))
    return Effect.sync(() => child.kill("SIGTERM"))
  })

const nothingLeft = Effect.fnUntraced(function* (directory: string) {
  assert.deepStrictEqual(yield* Effect.promise(() => fs.readdir(directory)), [])
  const mounts = yield* Effect.promise(() => fs.readFile("/proc/self/mountinfo", "utf8"))
  assert.notInclude(mounts, directory)
})

const unable = !(canFuse && canOverlay)
const why = unable ? " (skipped: root, /dev/fuse and overlay are needed)" : ""

describe.skipIf(unable)(`the demo${why}`, () => {
  it.live(
    "runs a program with less than half of its image fetched, and leaves nothing",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const { code, output } = yield* runDemo(directory)
        assert.strictEqual(code, 0, output)
        const fetched = /fetched by then\s+\S+ MB \(([0-9.]+) %\)\s+\S+ MB \(([0-9.]+) %\)/.exec(output)
        assert.isBelow(Number(fetched?.[1]), 50, output)
        assert.strictEqual(Number(fetched?.[2]), 100, output)
        yield* nothingLeft(directory)
      }),
    180_000
  )

  for (const [moment, text] of [
    ["while it makes the image", "making an image"],
    ["while the image is mounted", "mounting it lazily"]
  ] as const) {
    it.live(
      `leaves nothing when it is interrupted ${moment}`,
      () =>
        Effect.gen(function* () {
          const directory = yield* temporaryDirectory
          let interrupted = false
          const { code } = yield* runDemo(directory, (output, interrupt) => {
            if (interrupted || !output.includes(text)) return
            interrupted = true
            interrupt()
          })
          assert.strictEqual(code, 130)
          yield* nothingLeft(directory)
        }),
      180_000
    )
  }
})

import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { makeFuseSessions } from "../../../src/layers/fuse/FuseSessions.ts"
import { canErofs, canFuse } from "../../support/kernelFeatures.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const run = promisify(execFile)

const isMounted = (mountPoint: string) => fs.readFileSync("/proc/mounts", "utf8").includes(` ${mountPoint} `)

const open = Effect.fnUntraced(function* (threads: number) {
  const sessions = yield* makeFuseSessions(threads)
  const mountPoint = yield* temporaryDirectory
  const content = Effect.succeed({ kind: "blobs" as const })
  const session = yield* sessions.open({ mountPoint, source: "test", fileSystem: "fuse.test", content })
  return { sessions, mountPoint, session }
})

/** What no thread can do. */
const impossible = {
  type: "serve",
  mount: 1_000_000,
  descriptor: -1,
  counters: new Float64Array(new SharedArrayBuffer(16)),
  content: { kind: "blobs" }
} as const

describe.skipIf(!canFuse)("FuseSessions (needs root and /dev/fuse)", () => {
  it.live("end, all of them, when a thread dies; later ones die with the same defect", () =>
    Effect.gen(function* () {
      const { sessions, mountPoint } = yield* open(2)
      assert.isTrue(isMounted(mountPoint))
      const exit = yield* Effect.exit(sessions.change(impossible))
      assert.isTrue(Exit.hasDies(exit))
      yield* Effect.suspend(() => (isMounted(mountPoint) ? Effect.fail("mounted") : Effect.void)).pipe(
        Effect.eventually
      )
      assert.isTrue(
        Exit.hasDies(yield* Effect.exit(Effect.scoped(open(1).pipe(Effect.andThen(sessions.change(impossible))))))
      )
    }).pipe(Effect.scoped)
  )

  it.live("end with the driver, even if their owners still hold them", () =>
    Effect.gen(function* () {
      const mountPoint = yield* Effect.scoped(Effect.map(open(1), (opened) => opened.mountPoint))
      assert.isFalse(isMounted(mountPoint))
    })
  )

  it.live.skipIf(!canErofs)("do not keep a process from exiting", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const program = fileURLToPath(new URL("../../support/mountForever.ts", import.meta.url))
      const ended = yield* Effect.flip(Effect.tryPromise(() => run(process.execPath, [program, directory, "exit"])))
      assert.propertyVal(ended.cause, "code", 7)
      const left = fs.readdirSync(`${directory}/run`)
      yield* Effect.promise(() => run("umount", ["-l", `${directory}/run/${left[0]}/blobs`]))
    }).pipe(Effect.scoped)
  )
})

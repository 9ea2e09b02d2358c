import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { type FuseSessions, makeFuseSessions } from "../../../src/layers/fuse/FuseSessions.ts"
import { canErofs, canFuse } from "../../support/kernelFeatures.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const run = promisify(execFile)

const isMounted = (mountPoint: string) => fs.readFileSync("/proc/mounts", "utf8").includes(` ${mountPoint} `)

const openIn = Effect.fnUntraced(function* (sessions: FuseSessions) {
  const mountPoint = yield* temporaryDirectory
  const content = Effect.succeed({ kind: "blobs" as const })
  yield* sessions.open({ mountPoint, source: "test", fileSystem: "fuse.test", content })
  return mountPoint
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
  it.live("end, all of them, when a thread dies; later ones die of the same", () =>
    Effect.gen(function* () {
      const sessions = yield* makeFuseSessions(2)
      const mountPoints = [yield* openIn(sessions), yield* openIn(sessions)]
      assert.deepStrictEqual(mountPoints.map(isMounted), [true, true])
      assert.isTrue(Exit.hasDies(yield* Effect.exit(sessions.change(impossible))))
      const ended = Effect.suspend(() => (mountPoints.some(isMounted) ? Effect.fail("mounted") : Effect.void))
      yield* Effect.eventually(ended)
      assert.isTrue(Exit.hasDies(yield* Effect.exit(openIn(sessions))))
    }).pipe(Effect.scoped)
  )

  it.live("end with the driver, even if their owners still hold them", () =>
    Effect.gen(function* () {
      const mountPoint = yield* Effect.scoped(
        Effect.gen(function* () {
          const owner = yield* Effect.scope
          const opened = yield* Effect.scoped(
            Effect.flatMap(makeFuseSessions(1), (sessions) => Scope.provide(openIn(sessions), owner))
          )
          assert.isFalse(isMounted(opened))
          return opened
        })
      )
      assert.isFalse(fs.existsSync(mountPoint))
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

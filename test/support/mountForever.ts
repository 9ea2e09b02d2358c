/**
 * A process that mounts a layer, says so, and never ends: `node mountForever.ts DIRECTORY THEN [DRIVER]`. With `prepare` it mounts as EROFS and
 * unmounts again, so that only what EROFS stands on is left; with `exit` it exits then, at once. With `open` it mounts a FUSE tree and
 * keeps a file of it open.
 */
import { Effect, Layer } from "effect"
import * as fs from "node:fs"
import * as fsp from "node:fs/promises"
import * as FuseDriverKernel from "../../src/layers/FuseDriverKernel.ts"
import * as FuseDriverNative from "../../src/layers/FuseDriverNative.ts"
import * as LayerMounterLive from "../../src/layers/LayerMounterLive.ts"
import { LayerMounter } from "../../src/services/LayerMounter.ts"
import { heldLayer } from "./heldLayer.ts"
import { file } from "./tocEntries.ts"

const [, , directory = "", then, driver] = process.argv
// Nobody cleans up behind a process that is killed, but its directory goes with the test.
process.env["TMPDIR"] = directory

const mounter = LayerMounterLive.layer({ runDirectory: `${directory}/run` }).pipe(
  Layer.provide(driver === "fuse-native" ? FuseDriverNative.layer : FuseDriverKernel.layer())
)

const program = Effect.gen(function* () {
  const mounter = yield* LayerMounter
  const layer = yield* heldLayer([{ entry: file("a"), content: Buffer.from("a") }])
  const mountPoint = `${directory}/mnt`
  fs.mkdirSync(mountPoint)
  if (then === "open") {
    yield* mounter.mount({ layer, mountPoint, mode: "fuse", opaqueXattr: "trusted" })
    const opened = yield* Effect.promise(() => fsp.open(`${mountPoint}/a`))
    yield* Effect.addFinalizer(() => Effect.promise(() => opened.close()))
  } else {
    yield* Effect.scoped(mounter.mount({ layer, mountPoint, mode: "erofs", opaqueXattr: "trusted" }))
  }
  process.stdout.write("mounted\n")
  if (then === "exit") process.exit(7)
  yield* Effect.sleep("1 hour")
}).pipe(Effect.scoped, Effect.provide(mounter))

await Effect.runPromise(program)

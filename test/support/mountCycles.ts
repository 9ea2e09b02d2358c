/**
 * A process that mounts a layer again and again: `node mountCycles.ts MODE DIRECTORY CYCLES [DRIVER]`. Prints, as JSON, its open descriptors
 * after the first cycle and after the last. A process of its own, so that nobody else opens any.
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

const [, , mode, directory = "", cycles = "1", driver] = process.argv
if (mode !== "fuse" && mode !== "erofs") throw new Error(`no such mode: ${mode}`)

const mounter = LayerMounterLive.layer({ runDirectory: `${directory}/run` }).pipe(
  Layer.provide(driver === "fuse-native" ? FuseDriverNative.layer : FuseDriverKernel.layer())
)
const mountPoint = `${directory}/mnt`
const content = Buffer.from("as it was")

const descriptors = () => fs.readdirSync("/proc/self/fd").length

const program = Effect.gen(function* () {
  const mounter = yield* LayerMounter
  const layer = yield* heldLayer([{ entry: file("a"), content }])
  const cycle = Effect.scoped(
    Effect.gen(function* () {
      yield* mounter.mount({ layer, mountPoint, mode, opaqueXattr: "trusted" })
      const found = yield* Effect.promise(() => fsp.readFile(`${mountPoint}/a`))
      if (!found.equals(content)) throw new Error("wrong content")
    })
  )
  yield* cycle
  const before = descriptors()
  yield* Effect.repeat(cycle, { times: Number(cycles) - 2 })
  return { before, after: descriptors() }
}).pipe(Effect.scoped, Effect.provide(mounter))

fs.mkdirSync(mountPoint)
process.stdout.write(JSON.stringify(await Effect.runPromise(program)))

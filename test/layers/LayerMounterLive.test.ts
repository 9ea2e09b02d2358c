import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import * as fs from "node:fs"
import * as fsp from "node:fs/promises"
import * as FuseDriverKernel from "../../src/layers/FuseDriverKernel.ts"
import * as LayerMounterLive from "../../src/layers/LayerMounterLive.ts"
import { LayerMounter, type MountMode } from "../../src/services/LayerMounter.ts"
import type { Layer as OpenLayer } from "../../src/services/LayerReader.ts"
import { noise } from "../support/content.ts"
import { heldLayer } from "../support/heldLayer.ts"
import { canErofs } from "../support/kernelFeatures.ts"
import { layerMountSuite, mounter } from "../support/layerMountSuite.ts"
import { mountAndDie } from "../support/mountAndDie.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { file } from "../support/tocEntries.ts"

const small = [{ entry: file("a"), content: Buffer.from("small") }]

const mount = Effect.fnUntraced(function* (layer: OpenLayer, mode: MountMode) {
  const mounter = yield* LayerMounter
  return yield* mounter.mount({ layer, mountPoint: yield* temporaryDirectory, mode, opaqueXattr: "trusted" })
})

const mounterIn = (runDirectory: string) =>
  LayerMounterLive.layer({ runDirectory }).pipe(Layer.provide(FuseDriverKernel.layer()))

/** A file that does not begin at a block. */
const unaligned = Effect.map(heldLayer([{ entry: file("odd"), content: noise(1000) }]), (layer) => {
  const node = layer.tree.mode.findIndex((mode) => (mode & 0o170000) === 0o100000)
  layer.tree.dataOffset[node] = (layer.tree.dataOffset[node] ?? 0) + 1
  layer.tree.size[node] = 10
  return layer
})

describe.skipIf(!canErofs)("LayerMounterLive (needs root, /dev/fuse and EROFS of Linux 6.12)", () => {
  layerMountSuite("erofs")

  layer(mounter, { excludeTestServices: true })((it) => {
    it.effect("chooses EROFS where it can", () =>
      Effect.gen(function* () {
        const mounted = yield* mount(yield* heldLayer(small), "auto")
        assert.deepInclude(mounted, { mode: "erofs", fallbackReason: undefined })
        assert.strictEqual(fs.readFileSync(`${mounted.mountPoint}/a`, "utf8"), "small")
      })
    )

    it.effect("mounts by FUSE what EROFS cannot hold, and says why", () =>
      Effect.gen(function* () {
        const held = yield* unaligned
        const mounted = yield* mount(held, "auto")
        assert.strictEqual(mounted.mode, "fuse")
        assert.include(mounted.fallbackReason ?? "", '"odd" cannot be held by EROFS: its data begin at byte 513')
        assert.isTrue(fs.readFileSync(`${mounted.mountPoint}/odd`).equals(held.stream.subarray(513, 523)))
        const error = yield* Effect.flip(mount(held, "erofs"))
        assert.strictEqual(error._tag, "ErofsUnavailable")
      })
    )

    it.effect("fails reads of a file that is still open when its mount has ended", () =>
      Effect.gen(function* () {
        const held = yield* heldLayer([{ entry: file("a"), content: noise(100_000) }], { held: true })
        const scope = yield* Scope.make()
        const { mountPoint } = yield* Scope.provide(mount(held, "erofs"), scope)
        const handle = yield* Effect.promise(() => fsp.open(`${mountPoint}/a`))
        yield* Scope.close(scope, Exit.void)
        const { cause } = yield* Effect.flip(Effect.tryPromise(() => handle.readFile()))
        assert.propertyVal(cause, "code", "EIO")
        yield* Effect.promise(() => handle.close())
      })
    )

    it.effect("mounts a layer without any file's data", () =>
      Effect.gen(function* () {
        const mounted = yield* mount(yield* heldLayer([{ entry: file("empty"), content: new Uint8Array(0) }]), "erofs")
        assert.strictEqual(fs.readFileSync(`${mounted.mountPoint}/empty`).length, 0)
      })
    )
  })

  it.live("does without EROFS where its directory cannot be made", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* Effect.promise(() => fsp.writeFile(`${directory}/file`, ""))
      const held = yield* heldLayer(small)
      yield* Effect.gen(function* () {
        const mounted = yield* mount(held, "auto")
        assert.strictEqual(mounted.mode, "fuse")
        assert.include(mounted.fallbackReason ?? "", "EROFS mounts are not possible here")
        assert.strictEqual((yield* Effect.flip(mount(held, "erofs")))._tag, "ErofsUnavailable")
      }).pipe(Effect.provide(mounterIn(`${directory}/file/run`)))
    }).pipe(Effect.scoped)
  )

  it.live("touches nothing before a layer is to be mounted as EROFS", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const held = yield* heldLayer(small)
      yield* mount(held, "fuse").pipe(Effect.provide(mounterIn(`${directory}/run`)))
      assert.deepStrictEqual(fs.readdirSync(directory), [])
    }).pipe(Effect.scoped)
  )

  it.live("keeps nothing of a mount that failed", () =>
    Effect.gen(function* () {
      const runDirectory = `${yield* temporaryDirectory}/run`
      const layer = yield* heldLayer(small)
      yield* Effect.gen(function* () {
        const mounter = yield* LayerMounter
        const mountPoint = `${runDirectory}/missing`
        const error = yield* Effect.flip(mounter.mount({ layer, mountPoint, mode: "erofs", opaqueXattr: "trusted" }))
        assert.strictEqual(error._tag, "MountFailed")
        const [directory] = fs.readdirSync(runDirectory)
        assert.deepStrictEqual(fs.readdirSync(`${runDirectory}/${directory}/blobs`), [])
      }).pipe(Effect.provide(mounterIn(runDirectory)), Effect.scoped)
    }).pipe(Effect.scoped)
  )

  it.live("clears away what a killed process left", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* mountAndDie(directory, "prepare")
      assert.include(fs.readFileSync("/proc/mounts", "utf8"), `${directory}/run`)

      const held = yield* heldLayer(small)
      yield* Effect.gen(function* () {
        yield* mount(held, "erofs")
        assert.strictEqual(fs.readdirSync(`${directory}/run`).length, 1)
      }).pipe(Effect.provide(mounterIn(`${directory}/run`)), Effect.scoped)
      assert.deepStrictEqual(fs.readdirSync(`${directory}/run`), [])
      assert.notInclude(fs.readFileSync("/proc/mounts", "utf8"), directory)
    }).pipe(Effect.scoped)
  )
})

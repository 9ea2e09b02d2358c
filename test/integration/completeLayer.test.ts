/**
 * A layer that is complete when it is mounted: nobody serves its reads.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as InflateZlib from "../../src/layers/InflateZlib.ts"
import * as SpanStoreFile from "../../src/layers/SpanStoreFile.ts"
import { unmount } from "../../src/layers/kernelMount.ts"
import { SpanStore } from "../../src/services/SpanStore.ts"
import { completeSample } from "../support/completeSample.ts"
import { noErofsMounts } from "../support/erofsMount.ts"
import { layerOfSize, observedBlob, openingOf } from "../support/lazyLayer.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const program = fileURLToPath(new URL("../support/mountComplete.ts", import.meta.url))

const dropCaches = () => fs.writeFileSync("/proc/sys/vm/drop_caches", "3")

/** The layer, mounted by a process that was killed since. */
const orphanMount = Effect.gen(function* () {
  const directory = yield* temporaryDirectory
  const mountPoint = path.join(directory, "mnt")
  fs.mkdirSync(mountPoint)
  yield* Effect.addFinalizer(() =>
    Effect.forEach(
      [mountPoint, ...fs.globSync(path.join(directory, "run", "*", "*"))],
      (mounted) => Effect.ignore(unmount(mounted)),
      { discard: true }
    )
  )
  yield* Effect.callback<void>((resume) => {
    const child = spawn(process.execPath, [program, directory, mountPoint], { stdio: ["ignore", "pipe", "inherit"] })
    child.stdout.once("data", () => child.kill("SIGKILL"))
    child.once("exit", () => resume(Effect.void))
  })
  return { directory, file: path.join(mountPoint, "data") }
})

/** The only file of the layer, as it lies in its tar. */
const content = completeSample.stream.subarray(512, 512 + 1_500_000)

describe.skipIf(noErofsMounts)(
  `a layer that was complete when it was mounted${noErofsMounts ? ` (${noErofsMounts})` : ""}`,
  () => {
    it.live("is read when the process that mounted it has been killed", () =>
      Effect.gen(function* () {
        const { file } = yield* orphanMount
        dropCaches()
        assert.isTrue(fs.readFileSync(file).equals(content))
      })
    )

    it.live("keeps its bytes when another process needs the room", () =>
      Effect.gen(function* () {
        const { directory, file } = yield* orphanMount
        const keep = { bytes: 1_000_000, freeShare: 0 }
        const other = layerOfSize(70_000)
        yield* SpanStore.use((store) => store.open(openingOf(other, observedBlob(other.bytes)))).pipe(
          Effect.provide(SpanStoreFile.layer({ directory, keep }).pipe(Layer.provide(InflateZlib.layer))),
          Effect.scoped
        )
        dropCaches()
        assert.isTrue(fs.readFileSync(file).equals(content))
      })
    )
  }
)

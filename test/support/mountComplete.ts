/**
 * A program that makes a layer complete in a store that keeps it, mounts it as EROFS, says so and waits to be killed.
 *
 *   node mountComplete.ts DIRECTORY MOUNTPOINT
 */
import { Console, Effect, Layer } from "effect"
import { join } from "node:path"
import * as FuseDriverKernel from "../../src/layers/FuseDriverKernel.ts"
import * as InflateZlib from "../../src/layers/InflateZlib.ts"
import * as LayerMounterLive from "../../src/layers/LayerMounterLive.ts"
import * as LayerReaderLive from "../../src/layers/LayerReaderLive.ts"
import * as SpanStoreFile from "../../src/layers/SpanStoreFile.ts"
import { LayerMounter } from "../../src/services/LayerMounter.ts"
import { LayerReader } from "../../src/services/LayerReader.ts"
import { completeSample } from "./completeSample.ts"
import { observedBlob, openingOf } from "./lazyLayer.ts"

const [directory = "", mountPoint = ""] = process.argv.slice(2)

const program = Effect.gen(function* () {
  const reader = yield* LayerReader
  const layer = yield* reader.open(openingOf(completeSample, observedBlob(completeSample.bytes)))
  yield* layer.spans.ensure(0, layer.spans.size)
  const mounter = yield* LayerMounter
  yield* mounter.mount({ layer, mountPoint, mode: "erofs", opaqueXattr: "trusted" })
  yield* Console.log("mounted")
  yield* Effect.never
})

const keep = { bytes: 2 ** 40, freeShare: 0 }
const spans = SpanStoreFile.layer({ directory, keep }).pipe(Layer.provide(InflateZlib.layer))
const services = Layer.mergeAll(
  LayerReaderLive.layer.pipe(Layer.provide(spans)),
  LayerMounterLive.layer({ runDirectory: join(directory, "run") }).pipe(Layer.provide(FuseDriverKernel.layer()))
)
await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(services)))

/**
 * A program that opens a layer in a store that keeps its spans, reads all of it, says so and waits to be killed.
 *
 *   node readSpans.ts DIRECTORY SIZE
 */
import { Console, Effect, Layer } from "effect"
import * as InflateZlib from "../../src/layers/InflateZlib.ts"
import * as SpanStoreFile from "../../src/layers/SpanStoreFile.ts"
import { SpanStore } from "../../src/services/SpanStore.ts"
import { layerOfSize, observedBlob, openingOf } from "./lazyLayer.ts"

const [directory = "", size = "0"] = process.argv.slice(2)
const lazy = layerOfSize(Number(size))

const program = Effect.gen(function* () {
  const store = yield* SpanStore
  const spans = yield* store.open(openingOf(lazy, observedBlob(lazy.bytes)))
  yield* spans.ensure(0, spans.size)
  yield* Console.log("local")
  yield* Effect.never
})

const keep = { bytes: 2 ** 40, freeShare: 0 }
const layer = SpanStoreFile.layer({ directory, keep }).pipe(Layer.provide(InflateZlib.layer))
await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layer)))

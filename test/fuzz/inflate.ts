/**
 * Inflates spans of random layers, whole and damaged, with every inflater of this machine: all give the same bytes, or all refuse.
 */
import { assert } from "@effect/vitest"
import { Effect, Exit, Layer, Result, Scope } from "effect"
import * as InflateIsal from "../../src/layers/InflateIsal.ts"
import * as InflatePako from "../../src/layers/InflatePako.ts"
import * as InflateZlib from "../../src/layers/InflateZlib.ts"
import { WindowBits } from "../../src/layers/inflate/BlockInflater.ts"
import { PakoStream } from "../../src/layers/inflate/PakoStream.ts"
import { GzipScanner } from "../../src/layers/ztoc/gzipScanner.ts"
import { Inflate, type InflateFailed } from "../../src/services/Inflate.ts"
import type { Checkpoint } from "../../src/services/Ztoc.ts"
import { type FuzzProgram, fuzzMain } from "../support/fuzz.ts"
import type { Random } from "../support/Random.ts"
import { randomGzip } from "../support/randomGzip.ts"

const load = async (layer: Layer.Layer<Inflate, unknown>) => {
  const loading = Effect.flatMap(Scope.make(), (scope) =>
    Effect.provide(Inflate, layer).pipe(Effect.provideService(Scope.Scope, scope))
  )
  const exit = await Effect.runPromiseExit(loading)
  return Exit.isSuccess(exit) ? [exit.value] : []
}

const inflaters = (await Promise.all([InflateZlib.layer, InflatePako.layer, InflateIsal.layer].map(load))).flat()

const checkpointsOf = (layer: Buffer, spanSize: number): ReadonlyArray<Checkpoint> => {
  const checkpoints: Array<Checkpoint> = []
  const scanner = new GzipScanner(spanSize, new PakoStream(WindowBits.detect), {
    onCheckpoint: (checkpoint) => void checkpoints.push(checkpoint),
    onOutput: () => undefined,
    onMember: () => undefined
  })
  scanner.push(layer)
  scanner.close()
  return checkpoints
}

const spanOf = (random: Random) => {
  const content = random.prose(1 + random.int(random.chance(0.1) ? 100_000 : 4000))
  const layer = randomGzip(random, content)
  const checkpoints = checkpointsOf(layer, random.pick([0, 500, 5000]))
  const id = random.int(checkpoints.length)
  const { in: input, out, bits, window } = checkpoints[id] ?? assert.fail()
  const next = checkpoints[id + 1]
  const compressed = layer.subarray(bits === 0 ? input : input - 1, next?.in ?? layer.length)
  return { compressed, bits, window, content: content.subarray(out, next?.out ?? content.length) }
}

/** ISA-L takes Huffman codes that zlib refuses because they have gaps. */
const hasBadCode = (result: Result.Result<Uint8Array, InflateFailed>) =>
  Result.isFailure(result) &&
  /\((?:invalid .* set|invalid code .*end-of-block|too many .*)\)/.test(result.failure.reason)

const inflateAll = (request: Parameters<Inflate["Service"]["inflate"]>[0]) =>
  Effect.runPromise(Effect.forEach(inflaters, (inflater) => Effect.result(inflater.inflate(request))))

export const program: FuzzProgram = {
  name: "inflate",
  count: 12_000,
  check: async (random) => {
    const { compressed, bits, window, content } = spanOf(random)
    for (const result of await inflateAll({ compressed, bits, window, length: content.length })) {
      assert.isTrue(content.equals(Result.getOrThrow(result)))
    }
    const length = random.chance(0.5) ? content.length : random.int(2 * content.length + 2)
    const damaged = random.chance(0.8) ? random.damaged(compressed) : compressed
    const results = await inflateAll({ compressed: damaged, bits, window, length })
    const strict = results.filter((_, i) => inflaters[i]?.implementation !== "isal" || !results.some(hasBadCode))
    const answers = strict.map((result) =>
      Result.isFailure(result) ? "refused" : Buffer.from(result.success).toString("base64")
    )
    const reasons = results.map((result) => (Result.isFailure(result) ? result.failure.reason : "inflated"))
    assert.strictEqual(new Set(answers).size, 1, reasons.join(" / "))
  }
}

if (import.meta.main) await fuzzMain(program)

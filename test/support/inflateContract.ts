/**
 * What every inflater must do, whatever it is made of.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer, Result } from "effect"
import { createHash } from "node:crypto"
import { deflateRawSync, gzipSync } from "node:zlib"
import { Inflate, type InflateRequest } from "../../src/services/Inflate.ts"
import { spansOf } from "../../src/streams/codec/zinfo.ts"
import { decodeZtoc } from "../../src/streams/codec/ztoc.ts"
import { noise } from "./content.ts"
import { builtJobs, readDump, readVector } from "./ztocVectors.ts"

const noWindow = Buffer.alloc(32_768)

const request = (compressed: Uint8Array, length: number): InflateRequest => ({
  compressed,
  bits: 0,
  window: noWindow,
  length
})

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

/** `missing` says why the implementation cannot be tried here. */
export const inflateContract = <E>(name: string, layer: Layer.Layer<Inflate, E>, missing?: string) =>
  describe.skipIf(missing !== undefined)(`${name} is an inflater${missing ? ` (skipped: ${missing})` : ""}`, () => {
    for (const job of builtJobs.filter(({ algorithm }) => algorithm === "gzip")) {
      const dump = readDump(job)
      if (dump.span_contents === undefined || dump.span_contents.length > 64) continue

      it.effect(`gives every span the content the reference gives it: ${job.ztoc}`, () =>
        Effect.gen(function* () {
          const inflate = yield* Inflate
          const ztoc = decodeZtoc(readVector(job.ztoc))
          const opened = Result.flatMap(ztoc, spansOf)
          if (Result.isFailure(opened)) return
          const { spans, zinfo } = opened.success
          if (zinfo.algorithm !== "gzip") return
          const blob = readVector(job.layer)
          for (const span of spans) {
            const expected = dump.span_contents?.[span.id]?.sha256
            const checkpoint = zinfo.checkpoints[span.id]
            if (expected === undefined || checkpoint === undefined) continue
            const inflated = yield* inflate.inflate({
              compressed: blob.subarray(span.compressedStart, span.compressedEnd),
              bits: checkpoint.bits,
              window: checkpoint.window,
              length: span.uncompressedEnd - span.uncompressedStart
            })
            assert.strictEqual(sha256(inflated), expected)
          }
        }).pipe(Effect.provide(layer))
      )
    }

    it.effect("refuses data that end too early", () =>
      Effect.gen(function* () {
        const inflate = yield* Inflate
        const compressed = deflateRawSync(noise(10_000))
        const error = yield* Effect.flip(inflate.inflate(request(compressed.subarray(0, 5_000), 10_000)))
        assert.strictEqual(error._tag, "InflateFailed")
        assert.strictEqual(error.expectedLength, 10_000)
        assert.isBelow(error.actualLength, 10_000)
      }).pipe(Effect.provide(layer))
    )

    it.effect("refuses data that are complete and too few", () =>
      Effect.gen(function* () {
        const inflate = yield* Inflate
        const error = yield* Effect.flip(inflate.inflate(request(deflateRawSync(noise(1_000)), 1_001)))
        assert.strictEqual(error.actualLength, 1_000)
      }).pipe(Effect.provide(layer))
    )

    it.effect("refuses corrupt data", () =>
      Effect.gen(function* () {
        const inflate = yield* Inflate
        // A block of the reserved type.
        const error = yield* Effect.flip(inflate.inflate(request(Uint8Array.of(7, 0, 0, 0), 100)))
        assert.strictEqual(error._tag, "InflateFailed")
      }).pipe(Effect.provide(layer))
    )

    it.effect("refuses a reference to before the window", () =>
      Effect.gen(function* () {
        const inflate = yield* Inflate
        const text = Buffer.from("abcabcabcabcabcabc".repeat(20))
        const compressed = deflateRawSync(text, { dictionary: text })
        const inflated = yield* Effect.result(
          inflate.inflate({ compressed, bits: 0, window: new Uint8Array(0), length: text.length })
        )
        assert.isTrue(Result.isFailure(inflated))
      }).pipe(Effect.provide(layer))
    )

    it.effect("stops where the span ends, however much would follow", () =>
      Effect.gen(function* () {
        const inflate = yield* Inflate
        const bomb = deflateRawSync(Buffer.alloc(200_000_000), { level: 9 })
        const inflated = yield* inflate.inflate(request(bomb, 1_000))
        assert.deepStrictEqual(Buffer.from(inflated), Buffer.alloc(1_000))
      }).pipe(Effect.provide(layer))
    )

    it.effect("gives a span that is whole, however broken what follows it is", () =>
      Effect.gen(function* () {
        const inflate = yield* Inflate
        // A block of fixed codes: the letter A, then a code that stands for nothing.
        const compressed = Uint8Array.of(115, 28, 3, 0, 0, 0)
        const inflated = yield* inflate.inflate(request(compressed, 1))
        assert.deepStrictEqual(Buffer.from(inflated), Buffer.from("A"))
        const error = yield* Effect.flip(inflate.inflate(request(compressed, 2)))
        assert.strictEqual(error._tag, "InflateFailed")
      }).pipe(Effect.provide(layer))
    )

    it.effect("refuses a reference to before the output, though it would fill the span", () =>
      Effect.gen(function* () {
        const inflate = yield* Inflate
        // 41 times the letter A, then three bytes from 100 bytes back.
        const compressed = Buffer.concat([
          Buffer.from(
            "737474747474747474747474747474747474747474747474747474747474747474747474747474747404da0100",
            "hex"
          ),
          Buffer.alloc(20)
        ])
        const error = yield* Effect.flip(inflate.inflate({ ...request(compressed, 44), window: new Uint8Array(0) }))
        assert.strictEqual(error._tag, "InflateFailed")
      }).pipe(Effect.provide(layer))
    )

    it.effect("passes over a member's name of any length that zlib passes over", () =>
      Effect.gen(function* () {
        const inflate = yield* Inflate
        const [first, second] = [noise(500, 1), noise(600, 2)]
        const name = Buffer.from(`${"n".repeat(2000)}\0`)
        const named = Buffer.concat([
          Buffer.of(0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3),
          name,
          gzipSync(second).subarray(10)
        ])
        const compressed = Buffer.concat([gzipSync(first).subarray(10), named])
        const inflated = yield* inflate.inflate(request(compressed, 1_100))
        assert.deepStrictEqual(Buffer.from(inflated), Buffer.concat([first, second]))
      }).pipe(Effect.provide(layer))
    )

    it.effect("goes on behind the end of a gzip member", () =>
      Effect.gen(function* () {
        const inflate = yield* Inflate
        const [first, second, third] = [noise(5_000, 1), noise(6_000, 2), noise(7_000, 3)]
        const compressed = Buffer.concat([gzipSync(first).subarray(10), gzipSync(second), gzipSync(third)])
        const inflated = yield* inflate.inflate(request(compressed, 18_000))
        assert.deepStrictEqual(Buffer.from(inflated), Buffer.concat([first, second, third]))
      }).pipe(Effect.provide(layer))
    )

    it.effect("refuses what follows a member and is no member", () =>
      Effect.gen(function* () {
        const inflate = yield* Inflate
        const compressed = Buffer.concat([gzipSync(noise(100)).subarray(10), Buffer.from("no gzip header here")])
        const error = yield* Effect.flip(inflate.inflate(request(compressed, 101)))
        assert.include(error.reason, "gzip")
      }).pipe(Effect.provide(layer))
    )

    it.effect("gives nothing for an empty span", () =>
      Effect.gen(function* () {
        const inflate = yield* Inflate
        assert.strictEqual((yield* inflate.inflate(request(new Uint8Array(0), 0))).length, 0)
      }).pipe(Effect.provide(layer))
    )
  })

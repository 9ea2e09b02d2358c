import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import * as ZtocBuilderWorkers from "../../src/layers/ZtocBuilderWorkers.ts"
import { defaultBuildToolIdentifier, defaultSpanSize, ZtocBuilder } from "../../src/services/ZtocBuilder.ts"
import type { LayerCompression } from "../../src/services/MediaType.ts"
import { digestOf } from "../../src/streams/verify.ts"
import { chunked, noise } from "../support/content.ts"
import { readDump, readVector, type VectorJob, vectorJobs } from "../support/ztocVectors.ts"

const isCompression = (text: string): text is LayerCompression =>
  ["gzip", "uncompressed", "unknown", "zstd"].includes(text)

const optionsOf = (job: VectorJob) => ({
  compression: isCompression(job.algorithm) ? job.algorithm : ("" as const),
  spanSize: job.span_size,
  buildToolIdentifier: job.build_tool_identifier
})

const options = {
  compression: "gzip",
  spanSize: defaultSpanSize,
  buildToolIdentifier: defaultBuildToolIdentifier
} as const

for (const inflater of ["zlib", "pako"] as const) {
  layer(ZtocBuilderWorkers.layerWith(inflater))(`ZtocBuilder on ${inflater}`, (it) => {
    for (const job of vectorJobs) {
      const dump = readDump(job)
      const description = `${job.layer}, spans of ${job.span_size}, ${job.algorithm}`

      if (dump.build_error === undefined) {
        it.effect(`builds the reference's bytes: ${description}`, () =>
          Effect.gen(function* () {
            const bytes = readVector(job.layer)
            const built = yield* ZtocBuilder.use((builder) => builder.build(chunked(bytes, 50_000), optionsOf(job)))
            assert.strictEqual(built.digest, digestOf(readVector(job.ztoc ?? "")))
            assert.strictEqual(built.layerDigest, digestOf(bytes))
            assert.strictEqual(built.layerSize, bytes.length)
            assert.strictEqual(built.spans, dump.max_span_id + 1)
          })
        )
      } else {
        it.effect(`fails as the reference does: ${description}`, () =>
          Effect.gen(function* () {
            const build = ZtocBuilder.use((builder) =>
              builder.build(chunked(readVector(job.layer), 50_000), optionsOf(job))
            )
            const error = yield* Effect.flip(build)
            assert.strictEqual(error.message, dump.build_error)
          })
        )
      }
    }

    for (const size of [1, 7, 511, 4096]) {
      it.effect(`does not care how the bytes arrive: ${size} at a time`, () =>
        Effect.gen(function* () {
          const job = vectorJobs.find(({ layer }) => layer === "block-flush-bits.tar.gz") ?? assert.fail()
          const bytes = readVector(job.layer).subarray()
          if (bytes.length / size > 300_000) return
          const built = yield* ZtocBuilder.use((builder) => builder.build(chunked(bytes, size), optionsOf(job)))
          assert.strictEqual(built.digest, digestOf(readVector(job.ztoc ?? "")))
        })
      )
    }

    it.effect("tells how far it is, and the ztoc last", () =>
      Effect.gen(function* () {
        const bytes = readVector("level6.tar.gz")
        const events = yield* ZtocBuilder.use((builder) =>
          Stream.runCollect(builder.events(chunked(bytes, 10_000), options))
        )
        const progress = events.flatMap((event) => (event._tag === "Progress" ? [event.compressedBytes] : []))
        assert.deepStrictEqual(
          progress,
          progress.toSorted((a, b) => a - b)
        )
        assert.strictEqual(progress.at(-1), bytes.length)
        assert.strictEqual(events.at(-1)?._tag, "Built")
      })
    )

    it.effect("takes no more than the thread takes", () =>
      Effect.gen(function* () {
        let pulled = 0
        const endless = Stream.forever(Stream.succeed(gzipSync(noise(300_000))))
        const source = endless.pipe(Stream.tap((chunk) => Effect.sync(() => void (pulled += chunk.length))))
        const failed = yield* Effect.exit(
          ZtocBuilder.use((builder) => builder.events(source, options).pipe(Stream.take(3), Stream.runDrain))
        )
        assert.strictEqual(failed._tag, "Success")
        assert.isBelow(pulled, 20 * 300_000)
      })
    )

    it.effect("is interrupted in the middle, and builds again afterwards", () =>
      Effect.gen(function* () {
        const bytes = readVector("level6.tar.gz")
        const stuck = Stream.concat(chunked(bytes.subarray(0, 50_000), 10_000), Stream.never)
        const builder = yield* ZtocBuilder
        const fibers = yield* Effect.forEach([1, 2, 3, 4], () => Effect.forkChild(builder.build(stuck, options)))
        yield* Effect.yieldNow
        yield* Fiber.interruptAll(fibers)
        const built = yield* builder.build(chunked(bytes, 10_000), options)
        assert.strictEqual(built.layerDigest, digestOf(bytes))
      })
    )

    it.effect("passes on why the layer could not be read", () =>
      Effect.gen(function* () {
        const broken = Stream.concat(chunked(noise(100), 10), Stream.fail("connection reset" as const))
        const error = yield* Effect.flip(
          ZtocBuilder.use((builder) => builder.build(broken, { ...options, compression: "uncompressed" }))
        )
        assert.strictEqual(error, "connection reset")
      })
    )

    it.effect("names the compression it cannot describe, and the media type that says so", () =>
      Effect.gen(function* () {
        const mediaType = "application/vnd.oci.image.layer.v1.tar+zstd"
        const zstd = { ...options, compression: "zstd", mediaType } as const
        const build = ZtocBuilder.use((builder) => builder.build(Stream.die("must not be read"), zstd))
        const error = yield* Effect.flip(build)
        assert.strictEqual(error._tag, "UnsupportedCompression")
        assert.strictEqual(
          error.message,
          `unsupported compression algorithm, supported: gzip, got: zstd (${mediaType})`
        )
      })
    )

    for (const spanSize of [-1, 0.5, Number.NaN, 2 ** 53]) {
      it.effect(`refuses a span size of ${spanSize}`, () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(
            ZtocBuilder.use((builder) => builder.build(Stream.die("must not be read"), { ...options, spanSize }))
          )
          assert.strictEqual(error.message, "span size must be >= 0")
        })
      )
    }

    it.effect("refuses spans of no bytes in a plain tar, which the reference divides by", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(
          ZtocBuilder.use((builder) =>
            builder.build(Stream.empty, { ...options, compression: "uncompressed", spanSize: 0 })
          )
        )
        assert.include(error.message, "> 0")
      })
    )
  })
}

const support = (file: string) => fileURLToPath(new URL(`../support/${file}`, import.meta.url))

describe("a machine without koffi", () => {
  it("inflates and builds the same ztoc with pako", () => {
    const job = vectorJobs.find(({ layer }) => layer === "block-flush-bits.tar.gz") ?? assert.fail()
    const printed = execFileSync(
      process.execPath,
      ["--import", support("hideKoffi.ts"), support("printBuiltZtoc.ts"), String(job.span_size)],
      { input: readVector(job.layer), stdio: ["pipe", "pipe", "ignore"], encoding: "utf8", timeout: 30_000 }
    )
    assert.match(printed, new RegExp(`pako ${digestOf(readVector(job.ztoc ?? ""))}$`))
  })
})

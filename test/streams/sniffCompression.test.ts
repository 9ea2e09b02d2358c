import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { gzipSync } from "node:zlib"
import { sniffCompression } from "../../src/streams/sniffCompression.ts"
import { chunked, noise } from "../support/content.ts"

describe("sniffCompression", () => {
  for (const [what, bytes, compression] of [
    ["gzip", gzipSync(noise(100)), "gzip"],
    ["zstd", Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 1, 2), "zstd"],
    ["anything else", noise(100), "uncompressed"],
    ["one byte", Uint8Array.of(0x1f), "uncompressed"],
    ["nothing", new Uint8Array(0), "uncompressed"]
  ] as const) {
    it.effect(`knows ${what}, and takes nothing away`, () =>
      Effect.gen(function* () {
        for (const size of [1, 3, 1000]) {
          const [found, rest] = yield* sniffCompression(chunked(bytes, size))
          assert.strictEqual(found, compression)
          assert.isTrue(Buffer.concat(yield* Stream.runCollect(rest)).equals(bytes))
        }
      })
    )
  }
})

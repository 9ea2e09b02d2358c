import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { decodeZtoc } from "../../src/streams/codec/ztoc.ts"
import { ztocInfo } from "../../src/streams/ztocInfo.ts"
import { layerOf, prose, tarOf } from "../support/lazyLayer.ts"
import { builtJobs, readVector } from "../support/ztocVectors.ts"

const infoOf = (...options: Parameters<typeof ztocInfo>): string =>
  [...Result.getOrThrow(ztocInfo(...options))].join("")

describe("ztocInfo", () => {
  it("prints what the reference prints, character by character", () => {
    const { ztoc } = layerOf(tarOf({ "a<b": prose(10), large: prose(30_000) }), {
      spanSize: 8192,
      compression: "uncompressed"
    })
    assert.strictEqual(
      infoOf(ztoc, 4711),
      `{
  "version": "0.9",
  "build_tool": "test",
  "size": 4711,
  "span_size": 8192,
  "num_spans": 4,
  "num_files": 2,
  "num_multi_span_files": 1,
  "files": [
    {
      "filename": "a\\u003cb",
      "offset": 512,
      "size": 10,
      "type": "reg",
      "start_span": 0,
      "end_span": 0
    },
    {
      "filename": "large",
      "offset": 1536,
      "size": 30000,
      "type": "reg",
      "start_span": 0,
      "end_span": 3
    }
  ]
}
`
    )
  })

  it("has no list of files for a ztoc without entries", () => {
    const { ztoc } = layerOf(new Uint8Array(1024), { spanSize: 4096 })
    const text = infoOf(ztoc, 1)
    assert.include(text, '"num_files": 0')
    assert.isTrue(text.endsWith('  "files": null\n}\n'))
  })

  it("describes every ztoc of the reference, those no reader could open too", () => {
    let described = 0
    for (const job of builtJobs) {
      const bytes = readVector(job.ztoc)
      const ztoc = decodeZtoc(bytes)
      if (Result.isFailure(ztoc)) continue
      const info: unknown = JSON.parse(infoOf(ztoc.success, bytes.length))
      assert.deepInclude(info, {
        version: "0.9",
        size: bytes.length,
        span_size: job.span_size,
        num_spans: ztoc.success.maxSpanId + 1,
        num_files: ztoc.success.entries.length
      })
      described++
    }
    assert.isAbove(described, 50)
  })

  it("refuses what has no zinfo", () => {
    const { ztoc } = layerOf(tarOf({}), { spanSize: 4096 })
    assert.isTrue(Result.isFailure(ztocInfo({ ...ztoc, checkpoints: new Uint8Array(5) }, 1)))
  })
})

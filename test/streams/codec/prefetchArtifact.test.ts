import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { readFileSync } from "node:fs"
import { coveredSpans, PrefetchLimits } from "../../../src/services/PrefetchArtifact.ts"
import { decodePrefetchArtifact, encodePrefetchArtifact } from "../../../src/streams/codec/prefetchArtifact.ts"
import { digestOf } from "../../../src/streams/verify.ts"
import { json, utf8 } from "../../support/content.ts"

interface Vector {
  readonly input: string
  readonly output?: string
  readonly digest?: string
  readonly error?: string
}

const file = new URL("../../vectors/index/prefetch-artifacts.json", import.meta.url)
const vectors: ReadonlyArray<Vector> = JSON.parse(readFileSync(file, "utf8"))

const errorOf = (bytes: Uint8Array) => {
  const decoded = decodePrefetchArtifact(bytes)
  return Result.isFailure(decoded) ? decoded.failure : undefined
}

describe("a prefetch artifact", () => {
  for (const { input, output, digest, error } of vectors) {
    it(`is read and written as the reference does: ${input}`, () => {
      const again = Result.flatMap(decodePrefetchArtifact(utf8(input)), encodePrefetchArtifact)
      if (error === undefined) {
        const bytes = Result.getOrThrow(again)
        assert.strictEqual(new TextDecoder().decode(bytes), output)
        assert.strictEqual(digestOf(bytes), digest)
        return
      }
      const message = Result.isFailure(again) ? again.failure.message : ""
      // What the JSON parser found is said in its own words.
      const prefix = "failed to unmarshal prefetch artifact: "
      if (error.startsWith(prefix)) assert.isTrue(message.startsWith(prefix), message)
      else assert.strictEqual(message, error)
    })
  }

  it("that is empty is not written", () => {
    const written = encodePrefetchArtifact({ version: "1.0", spans: [] })
    assert.strictEqual(Result.isFailure(written) ? written.failure.message : "", "prefetch artifact is empty")
  })

  it("has no more ranges and bytes than can be harmless", () => {
    const range = { start_span: 0, end_span: 0 }
    const ranges = (count: number) =>
      json({ version: "1.0", prefetch_spans: Array.from({ length: count }, () => range) })
    assert.isUndefined(errorOf(ranges(PrefetchLimits.spans)))
    assert.strictEqual(errorOf(ranges(PrefetchLimits.spans + 1))?.kind, "too large")
    assert.strictEqual(errorOf(new Uint8Array(PrefetchLimits.bytes + 1))?.kind, "too large")
  })

  it("counts the spans it covers as the reference does", () => {
    const spans = [
      { startSpan: 0, endSpan: 3, priority: 0 },
      { startSpan: 5, endSpan: 3, priority: 0 }
    ]
    assert.strictEqual(coveredSpans({ version: "1.0", spans }), 3)
  })
})

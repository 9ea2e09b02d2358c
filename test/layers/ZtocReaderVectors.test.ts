import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Result, Stream } from "effect"
import { createHash } from "node:crypto"
import * as InflateLive from "../../src/layers/InflateLive.ts"
import * as ZtocReaderLive from "../../src/layers/ZtocReaderLive.ts"
import { Inflate } from "../../src/services/Inflate.ts"
import { ZtocReader } from "../../src/services/ZtocReader.ts"
import { zinfoOf } from "../../src/streams/codec/zinfo.ts"
import { decodeZtoc, layoutEntries } from "../../src/streams/codec/ztoc.ts"
import { buildLayerTree } from "../../src/streams/layerTree.ts"
import { layerBytes } from "../support/layerBytes.ts"
import { builtJobs, negativeVectors, readDump, readVector, type VectorDump } from "../support/ztocVectors.ts"

const reader = ZtocReaderLive.layer.pipe(Layer.provide(InflateLive.layer()))

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")
const collected = <E>(bytes: Stream.Stream<Uint8Array, E>) =>
  Effect.map(Stream.runCollect(bytes), (chunks) => Buffer.concat(chunks))

const bytesOf = (text: string | undefined, hex: string | undefined) =>
  hex === undefined ? Buffer.from(text ?? "").toString("latin1") : Buffer.from(hex, "hex").toString("latin1")

/** The reference crashes or fails here, where the file can be read correctly (vectors' README). */
const referenceFails = ({ layer }: { readonly layer: string }) => layer.startsWith("tar-no-end-exact")

/** A link with a size: by the ztoc its header has no bytes, so that only what does not check headers reads on. */
const headerCannotAgree = ({ layer }: { readonly layer: string }) => layer.startsWith("links-with-size")

const openVector = Effect.fnUntraced(function* (ztoc: Uint8Array, layer: Uint8Array) {
  const read = yield* Effect.fromResult(decodeZtoc(ztoc))
  const { open } = yield* ZtocReader
  return yield* open(read, layerBytes(layer))
})

const checkDump = Effect.fnUntraced(function* (job: (typeof builtJobs)[number], dump: VectorDump) {
  const layer = yield* openVector(readVector(job.ztoc), readVector(job.layer))
  for (const { name, name_hex, sha256: expected, error } of dump.extract_file ?? []) {
    if (error !== undefined) assert.isTrue(referenceFails(job), error)
    const entry = yield* layer.find(bytesOf(name, name_hex))
    const unchecked = yield* collected(layer.range(entry.offset, entry.size))
    const content = headerCannotAgree(job) ? unchecked : yield* layer.contentBytes(entry)
    assert.strictEqual(content.length, entry.size)
    if (expected !== undefined) assert.strictEqual(sha256(content), expected, name)
    if (referenceFails(job)) assert.isTrue(unchecked.equals(content))
  }
  for (const { offset, length, sha256: expected } of dump.ranges ?? []) {
    assert.strictEqual(sha256(yield* collected(layer.range(offset, length))), expected, `${offset}+${length}`)
  }
  const end = dump.uncompressed_archive_size
  for (const { id, sha256: expected } of (dump.span_contents ?? []).slice(0, 64)) {
    const span = layer.spans[id]
    if (expected === undefined || span === undefined || span.uncompressedEnd > end) continue
    const { uncompressedStart, uncompressedEnd } = span
    const content = yield* collected(layer.range(uncompressedStart, uncompressedEnd - uncompressedStart))
    assert.strictEqual(sha256(content), expected, `span ${id}`)
  }
})

describe("ZtocReader over the reference's vectors", () => {
  for (const job of builtJobs) {
    const dump = readDump(job)
    if (dump.unmarshal_error !== undefined) continue
    it.live(`gives every file, range and span the content the reference gives it: ${job.ztoc}`, () =>
      Effect.gen(function* () {
        const opened = yield* Effect.result(openVector(readVector(job.ztoc), readVector(job.layer)))
        if (Result.isFailure(opened)) {
          assert.notStrictEqual(dump.consumer?.span_manager, "ok", opened.failure.message)
          return
        }
        yield* checkDump(job, dump)
      }).pipe(Effect.provide(reader))
    )
  }
})

describe("the check of whole layers over the reference's vectors", () => {
  for (const job of builtJobs) {
    const dump = readDump(job)
    const { metadata_store, span_manager } = dump.consumer ?? {}
    const readable = metadata_store === "ok" && span_manager === "ok" && !headerCannotAgree(job)
    if (dump.unmarshal_error !== undefined || !readable) continue
    it.live(`finds nothing wrong with ${job.ztoc}`, () =>
      Effect.gen(function* () {
        const { verify } = yield* ZtocReader
        const ztoc = yield* Effect.fromResult(decodeZtoc(readVector(job.ztoc)))
        const verified = yield* verify(ztoc, layerBytes(readVector(job.layer)))
        assert.deepStrictEqual(verified, { spans: dump.max_span_id + 1, entries: ztoc.entries.length })
      }).pipe(Effect.provide(reader))
    )
  }
})

/** How far the reference came; the order is that of the vectors' README. */
const stages = [
  "unmarshal",
  "zinfo",
  "metadata_store",
  "span_manager",
  "span_fetch",
  "fs_read",
  "file_read",
  "extract_file"
]

/** The most that an inflater was ever asked to make of one compressed byte. */
let mostInflated = 0
const watchedInflate = Layer.effect(
  Inflate,
  Effect.map(Inflate, (inflate) =>
    Inflate.of({
      ...inflate,
      inflate: (request) => {
        mostInflated = Math.max(mostInflated, request.length / (request.compressed.length + 1))
        return inflate.inflate(request)
      }
    })
  )
).pipe(Layer.provide(InflateLive.layer()))

/** All the ways of a reader. `reached` tells how far it came. */
const tryAll = Effect.fnUntraced(function* (name: string, layerName: string, reached: (stage: string) => void) {
  const bytes = layerBytes(readVector(layerName))
  const ztoc = yield* Effect.fromResult(decodeZtoc(readVector(name)))
  const entries = (yield* Effect.fromResult(layoutEntries(ztoc.entries))).map(({ entry }) => entry)
  reached("zinfo")
  yield* Effect.fromResult(zinfoOf(ztoc))
  reached("metadata_store")
  yield* Effect.fromResult(buildLayerTree(entries))
  reached("span_manager")
  const { open, verify } = yield* ZtocReader
  const layer = yield* open(ztoc, bytes)
  reached("span_fetch")
  yield* Stream.runDrain(layer.inflateLayer())
  reached("fs_read")
  for (const entry of entries) yield* Stream.runDrain(layer.content(entry))
  reached("file_read")
  yield* verify(ztoc, bytes)
  reached("extract_file")
  for (const entry of entries) yield* layer.contentBytes(yield* layer.find(entry.name))
})

describe("ZtocReader over damaged ztocs and layers", () => {
  for (const { name, ztoc, layer, mutation, outcome, stage } of negativeVectors) {
    it.live(`${outcome === "accepts" ? "survives" : "refuses"} ${name}: ${mutation}`, () =>
      Effect.gen(function* () {
        let reached = "unmarshal"
        const exit = yield* Effect.exit(
          tryAll(`negative/${ztoc}`, `negative/${layer}`, (stage) => {
            reached = stage
          })
        )
        const reasons = Exit.isFailure(exit) ? exit.cause.reasons : []
        for (const reason of reasons) assert.strictEqual(reason._tag, "Fail", String(reason))
        if (outcome !== "accepts") {
          assert.isNotEmpty(reasons, "nothing was found")
          // A crash named so may have happened while spans were inflated.
          const latest = stage === "span_manager" && outcome !== "error" ? "span_fetch" : stage
          assert.isAtMost(
            stages.indexOf(reached),
            stages.indexOf(latest),
            `it was found in ${reached}, not in ${stage}`
          )
        }
        assert.isAtMost(mostInflated, 1032, "memory for more than the compressed bytes can become")
      }).pipe(Effect.provide(ZtocReaderLive.layer), Effect.provide(watchedInflate))
    )
  }
})

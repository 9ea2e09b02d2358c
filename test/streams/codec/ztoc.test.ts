import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { spansOf } from "../../../src/streams/codec/zinfo.ts"
import { decodeZtoc, encodeZtoc, layoutEntries } from "../../../src/streams/codec/ztoc.ts"
import { builtJobs, negativeVectors, readDump, readVector } from "../../support/ztocVectors.ts"

const decoded = (bytes: Uint8Array) => Result.getOrThrow(decodeZtoc(bytes))

describe("a ztoc", () => {
  for (const job of builtJobs) {
    const dump = readDump(job)

    it(`of the reference is read and written back byte for byte: ${job.ztoc}`, () => {
      const bytes = readVector(job.ztoc)
      const ztoc = decodeZtoc(bytes)
      assert.strictEqual(Result.isFailure(ztoc), dump.unmarshal_error !== undefined)
      if (Result.isFailure(ztoc)) return
      assert.deepStrictEqual(Buffer.from(Result.getOrThrow(encodeZtoc(ztoc.success))), bytes)
    })

    if (dump.unmarshal_error !== undefined) continue

    it(`has the reference's spans, or is refused where the reference refuses it: ${job.ztoc}`, () => {
      const spans = spansOf(decoded(readVector(job.ztoc)))
      if (dump.consumer?.span_manager !== undefined && dump.consumer.span_manager !== "ok") {
        // A layer of no bytes cannot be opened by the reference, which reads its header first; its ztoc is sound.
        if (dump.consumer?.span_manager?.includes("non-monotonic")) assert.isTrue(Result.isFailure(spans))
        return
      }
      assert.deepStrictEqual(
        Result.getOrThrow(spans).spans.map((span) => ({ ...span })),
        (dump.spans ?? []).map((span) => ({
          id: span.id,
          compressedStart: span.compressed_start,
          compressedEnd: span.compressed_end,
          uncompressedStart: span.uncompressed_start,
          uncompressedEnd: Math.max(span.uncompressed_start, span.uncompressed_end),
          digest: span.digest as never
        }))
      )
    })

    it(`derives the reference's header offsets: ${job.ztoc}`, () => {
      const placed = Result.getOrThrow(layoutEntries(decoded(readVector(job.ztoc)).entries))
      const offsets = placed.map(({ headerOffset }) => headerOffset)
      // Dumps of many entries hold only the first and the last hundred.
      const shown = offsets.length > 400 ? [...offsets.slice(0, 100), ...offsets.slice(-100)] : offsets
      assert.deepStrictEqual(shown, dump.tar_header_offsets)
    })
  }

  it("keeps names and values that are not UTF-8, and numbers at the ends of their ranges", () => {
    const entry = {
      name: "\xff\xfe/\0",
      type: "odd",
      offset: 512,
      size: 0,
      linkname: "\x80",
      mode: -(2n ** 63n),
      uid: 0xffff_ffff,
      gid: 0xffff_fffe,
      uname: "",
      gname: "ü",
      modTime: "whenever",
      devmajor: 2n ** 63n - 1n,
      devminor: -1n,
      pax: [["SCHILY.xattr.user.\xe9", "\0\xff"]] as const
    }
    const ztoc = {
      version: "0.9",
      buildToolIdentifier: "",
      compressedArchiveSize: Number.MAX_SAFE_INTEGER,
      uncompressedArchiveSize: 1024,
      entries: [entry],
      compressionAlgorithm: "uncompressed",
      maxSpanId: -1,
      spanDigests: [],
      checkpoints: new Uint8Array(0)
    }
    const again = decoded(Result.getOrThrow(encodeZtoc(ztoc)))
    assert.deepStrictEqual({ ...again, checkpoints: new Uint8Array(again.checkpoints) }, ztoc)
  })

  it("cut short at any byte gives an error or what the missing bytes do not touch", () => {
    const bytes = readVector("tiny.span4194304.ztoc")
    for (let length = 0; length < bytes.length; length += length < 400 ? 1 : 997) {
      const cut = decodeZtoc(bytes.subarray(0, length))
      if (Result.isFailure(cut)) assert.strictEqual(cut.failure.stage, "unmarshal")
    }
  })

  it("whose entries all point at one long string costs no more than a few times its own size", () => {
    const long = "x".repeat(50_000)
    const entries = Array.from({ length: 200 }, (_, i) => ({
      name: i === 199 ? long : "",
      type: "reg",
      offset: 512 * (i + 1),
      size: 0,
      linkname: "",
      mode: 0n,
      uid: 0,
      gid: 0,
      uname: "",
      gname: "",
      modTime: "",
      devmajor: 0n,
      devminor: 0n,
      pax: []
    }))
    const ztoc = Result.getOrThrow(
      encodeZtoc({
        version: "",
        buildToolIdentifier: "",
        compressedArchiveSize: 0,
        uncompressedArchiveSize: 0,
        entries,
        compressionAlgorithm: "gzip",
        maxSpanId: 0,
        spanDigests: [],
        checkpoints: new Uint8Array(0)
      })
    )
    const bytes = Buffer.from(ztoc)
    const at = bytes.indexOf(long)
    // Every offset to an empty name is made to lead to the long one.
    let redirected = 0
    for (let i = 0; i + 4 <= bytes.length; i += 4) {
      const target = i + bytes.readUInt32LE(i)
      if (target < bytes.length - 4 && target > i && bytes.readUInt32LE(target) === 0 && bytes[target + 4] === 0) {
        if (at - 4 <= i) continue
        bytes.writeUInt32LE(at - 4 - i, i)
        redirected++
      }
    }
    assert.isAbove(redirected, 100)
    const read = decodeZtoc(bytes)
    assert.isTrue(Result.isFailure(read))
  })
})

describe("a damaged ztoc", () => {
  const opening = new Set(["unmarshal", "zinfo"])
  for (const vector of negativeVectors) {
    if (vector.outcome === "accepts" || !opening.has(vector.stage)) continue
    it(`is refused when it is opened (the reference: ${vector.outcome}): ${vector.name}, ${vector.mutation}`, () => {
      const ztoc = decodeZtoc(readVector(`negative/${vector.ztoc}`))
      assert.isTrue(Result.isFailure(Result.flatMap(ztoc, spansOf)))
    })
  }
})

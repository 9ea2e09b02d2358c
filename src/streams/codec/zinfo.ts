/**
 * The decompressor state inside a ztoc: gzip checkpoints in both versions of the blob, and the table for plain tars (ztoc spec,
 * sections 3, 4 and 9.1). Nothing in a blob is believed before it was compared with the layer's size and with its neighbours.
 */
import { Result } from "effect"
import type { Digest } from "../../services/Descriptor.ts"
import {
  type Checkpoint,
  type GzipZinfo,
  InvalidZtoc,
  type Span,
  type TarZinfo,
  type Zinfo,
  type Ztoc
} from "../../services/Ztoc.ts"
import { ZtocLimits } from "../../services/ZtocLimits.ts"
import { readFlatbuffer } from "./flatbuffer.ts"
import { headerSize, recordSize, windowSize } from "./zinfoWriter.ts"

const invalid = (stage: InvalidZtoc["stage"], field: string, reason: string) =>
  new InvalidZtoc({ stage, field, reason })

const safeInt64 = (view: DataView, at: number): number | undefined => {
  const value = Number(view.getBigInt64(at, true))
  return Number.isSafeInteger(value) ? value : undefined
}

const invalidBlob = (reason: string) => Result.fail(invalid("zinfo", "checkpoints", reason))

/** Reads a gzip zinfo blob; the windows are views of it. */
export const decodeGzipZinfo = (blob: Uint8Array): Result.Result<GzipZinfo, InvalidZtoc> => {
  if (blob.length === 0) return invalidBlob("empty checkpoints")
  if (blob.length < headerSize) return invalidBlob("cannot convert blob to gzip_zinfo")
  const view = new DataView(blob.buffer, blob.byteOffset, blob.length)
  const have = view.getInt32(0, true)
  if (have < 1) return invalidBlob(`${have} checkpoints; at least one is needed`)
  const version = blob.length === headerSize + recordSize * have ? 2 : 1
  if (version === 1 && blob.length !== headerSize + recordSize * (have - 1)) {
    return invalidBlob(`cannot convert blob to gzip_zinfo: ${blob.length} bytes do not hold ${have} checkpoints`)
  }
  if (have > ZtocLimits.checkpoints)
    return invalidBlob(`${have} checkpoints; at most ${ZtocLimits.checkpoints} are read`)
  const spanSize = safeInt64(view, 4)
  if (spanSize === undefined || spanSize < 0) return invalidBlob("span size out of range")
  const checkpoints: Array<Checkpoint> = []
  if (version === 1) checkpoints.push({ in: 10, out: 0, bits: 0, window: new Uint8Array(windowSize) })
  for (let at = headerSize; at < blob.length; at += recordSize) {
    const input = safeInt64(view, at)
    const out = safeInt64(view, at + 8)
    if (input === undefined || out === undefined)
      return invalidBlob(`offsets of checkpoint ${checkpoints.length} out of range`)
    const window = blob.subarray(at + 17, at + recordSize)
    checkpoints.push({ in: input, out, bits: view.getUint8(at + 16), window })
  }
  return Result.succeed({ algorithm: "gzip", version, spanSize, checkpoints })
}

export const decodeTarZinfo = (blob: Uint8Array): Result.Result<TarZinfo, InvalidZtoc> =>
  readFlatbuffer(blob, "cannot unmarshal tar zinfo", (table) => ({
    algorithm: "uncompressed" as const,
    version: table.int32(0),
    spanSize: table.size(1, "span_size"),
    size: table.size(2, "size")
  })).pipe(
    Result.mapError(({ reason }) => invalid("zinfo", "cannot unmarshal tar zinfo", reason)),
    Result.flatMap((zinfo) => {
      if (zinfo.spanSize === 0) return Result.fail(invalid("zinfo", "span_size", "0 is no span size"))
      if (zinfo.size / zinfo.spanSize <= ZtocLimits.spans) return Result.succeed(zinfo)
      const reason = `${zinfo.size} bytes in spans of ${zinfo.spanSize} are more than ${ZtocLimits.spans} spans`
      return Result.fail(invalid("zinfo", "span_size", reason))
    })
  )

/** Opens the zinfo inside a ztoc by its algorithm. */
export const zinfoOf = (ztoc: Ztoc): Result.Result<Zinfo, InvalidZtoc> => {
  switch (ztoc.compressionAlgorithm) {
    case "gzip":
      return decodeGzipZinfo(ztoc.checkpoints)
    case "uncompressed":
      return decodeTarZinfo(ztoc.checkpoints)
    default: {
      const reason = `unexpected compression algorithm: ${ztoc.compressionAlgorithm}`
      return Result.fail(invalid("zinfo", "compression_algorithm", reason))
    }
  }
}

interface Bounds {
  readonly compressedStart: number
  readonly compressedEnd: number
  readonly uncompressedStart: number
  readonly uncompressedEnd: number
}

/** Where the spans lie, as the zinfo says and before any check (ztoc spec, 3.5). */
const boundsOf = (zinfo: Zinfo, compressedSize: number, uncompressedSize: number): ReadonlyArray<Bounds> => {
  if (zinfo.algorithm === "gzip") {
    return zinfo.checkpoints.map(({ in: input, out, bits }, i) => {
      const next = zinfo.checkpoints[i + 1]
      return {
        compressedStart: bits === 0 ? input : input - 1,
        compressedEnd: next === undefined ? compressedSize : next.in,
        uncompressedStart: out,
        uncompressedEnd: next === undefined ? uncompressedSize : next.out
      }
    })
  }
  const count = Math.ceil(zinfo.size / zinfo.spanSize)
  return Array.from({ length: count }, (_, i) => ({
    compressedStart: i * zinfo.spanSize,
    compressedEnd: i === count - 1 ? compressedSize : (i + 1) * zinfo.spanSize,
    uncompressedStart: i * zinfo.spanSize,
    uncompressedEnd: i === count - 1 ? uncompressedSize : (i + 1) * zinfo.spanSize
  }))
}

const spanCount = (zinfo: Zinfo): number =>
  zinfo.algorithm === "gzip" ? zinfo.checkpoints.length : Math.ceil(zinfo.size / zinfo.spanSize)

const digestForm = /^sha256:[0-9a-f]{64}$/
const isDigest = (text: string): text is Digest => digestForm.test(text)

/**
 * The spans of a layer, ready to be read: counts agree, offsets ascend and stay inside the layer, digests are digests, and no span is
 * larger than a process may hold (ztoc spec, 9.1 and 11). The last span may be empty: its end is where the archive ends, not the
 * stream.
 */
export const spansOf = (
  ztoc: Ztoc
): Result.Result<{ readonly zinfo: Zinfo; readonly spans: ReadonlyArray<Span> }, InvalidZtoc> =>
  Result.gen(function* () {
    const zinfo = yield* zinfoOf(ztoc)
    const count = spanCount(zinfo)
    if (count - 1 !== ztoc.maxSpanId) {
      const reason = `given max span ID differs from calculated max span ID (zTOC: ${ztoc.maxSpanId}, checkpoints: ${count - 1})`
      return yield* Result.fail(invalid("spans", "max_span_id", reason))
    }
    if (ztoc.spanDigests.length !== count) {
      const reason = `${ztoc.spanDigests.length} digests for ${count} spans`
      return yield* Result.fail(invalid("spans", "span_digests", reason))
    }
    if (zinfo.algorithm === "uncompressed" && zinfo.size !== ztoc.compressedArchiveSize) {
      return yield* Result.fail(
        invalid("spans", "size", `${zinfo.size}, but the layer has ${ztoc.compressedArchiveSize} bytes`)
      )
    }
    if (zinfo.algorithm === "gzip") yield* checkCheckpoints(zinfo)
    yield* checkEntries(ztoc)
    const bounds = boundsOf(zinfo, ztoc.compressedArchiveSize, ztoc.uncompressedArchiveSize)
    const spans: Array<Span> = []
    for (const [id, bound] of bounds.entries()) {
      spans.push({ id, ...(yield* checkBounds(bound, id, count)), digest: yield* digestOf(ztoc, id) })
    }
    return { zinfo, spans }
  })

/** Data of a file lie inside the archive. */
const checkEntries = ({ entries, uncompressedArchiveSize }: Ztoc): Result.Result<void, InvalidZtoc> => {
  const outside = entries.findIndex(({ offset, size }) => size > 0 && offset + size > uncompressedArchiveSize)
  if (outside < 0) return Result.void
  const reason = `its data end behind the archive's ${uncompressedArchiveSize} bytes`
  return Result.fail(invalid("toc", `entry ${outside}`, reason))
}

const digestOf = (ztoc: Ztoc, id: number): Result.Result<Digest, InvalidZtoc> => {
  const digest = ztoc.spanDigests[id] ?? ""
  return isDigest(digest)
    ? Result.succeed(digest)
    : Result.fail(invalid("spans", `span_digests[${id}]`, "not a sha256 digest"))
}

const invalidCheckpoint = (i: number, reason: string) => Result.fail(invalid("spans", `checkpoints[${i}]`, reason))

const checkCheckpoints = ({ checkpoints }: GzipZinfo): Result.Result<void, InvalidZtoc> => {
  for (const [i, { in: input, out, bits }] of checkpoints.entries()) {
    if (bits > 7) return invalidCheckpoint(i, `${bits} unused bits of a byte`)
    if (input < (bits === 0 ? 0 : 1)) return invalidCheckpoint(i, `offset ${input}`)
    if (i === 0 && out !== 0) return invalidCheckpoint(i, `the first one begins at ${out} of the uncompressed stream`)
    if (i === 0 && input > ZtocLimits.gzipHeaderBytes) return invalidCheckpoint(i, `a gzip header of ${input} bytes`)
  }
  return Result.void
}

const checkBounds = (bound: Bounds, id: number, count: number): Result.Result<Bounds, InvalidZtoc> => {
  const { compressedStart, compressedEnd, uncompressedStart, uncompressedEnd } = bound
  const wrong = (reason: string) => Result.fail(invalid("spans", `span ${id}`, reason))
  const last = id === count - 1
  if (compressedStart > compressedEnd || (!last && compressedStart === compressedEnd)) {
    return wrong(`span offsets are non-monotonic: compressed ${compressedStart} to ${compressedEnd}`)
  }
  if (!last && uncompressedStart >= uncompressedEnd) {
    return wrong(`span offsets are non-monotonic: uncompressed ${uncompressedStart} to ${uncompressedEnd}`)
  }
  if (
    compressedEnd - compressedStart > ZtocLimits.spanBytes ||
    uncompressedEnd - uncompressedStart > ZtocLimits.spanBytes
  ) {
    return wrong(`larger than ${ZtocLimits.spanBytes} bytes`)
  }
  return Result.succeed({ ...bound, uncompressedEnd: Math.max(uncompressedStart, uncompressedEnd) })
}

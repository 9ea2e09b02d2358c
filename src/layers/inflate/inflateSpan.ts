/**
 * What all inflaters share: a span may run over the end of gzip members, whose trailers and headers lie between the deflate data
 * (ztoc spec, 3.6).
 */
import { Effect, Result } from "effect"
import { InflateFailed, type InflateRequest } from "../../services/Inflate.ts"
import { ZtocLimits } from "../../services/ZtocLimits.ts"
import { parseGzipHeader } from "../../streams/codec/gzipHeader.ts"

/** One stretch of raw deflate data, from its start or from a checkpoint. */
export interface RawDeflate {
  readonly input: Uint8Array
  /** Bits that come before the first byte of `input`. */
  readonly bits: number
  readonly bitsValue: number
  readonly window: Uint8Array | undefined
  readonly output: Uint8Array<ArrayBuffer>
  readonly outputOffset: number
}

export interface RawInflated {
  /** Bytes of the input that were used. */
  readonly consumed: number
  readonly produced: number
  /** The final block has ended. */
  readonly ended: boolean
}

/** Inflates until the output is full, the data end, or they are found corrupt (a text). */
export type RawInflater = (deflate: RawDeflate) => Effect.Effect<RawInflated | string>

const trailerSize = 8

export const inflateSpan = Effect.fnUntraced(function* (
  implementation: string,
  inflate: RawInflater,
  request: InflateRequest
) {
  const { compressed, bits, length } = request
  const output = Buffer.allocUnsafeSlow(length)
  let produced = 0
  const failed = (reason: string) =>
    new InflateFailed({ implementation, reason, expectedLength: length, actualLength: produced })

  let input = bits === 0 ? compressed : compressed.subarray(1)
  let start: Pick<RawDeflate, "bits" | "bitsValue" | "window"> = {
    bits,
    bitsValue: bits === 0 ? 0 : (compressed[0] ?? 0) >> (8 - bits),
    window: request.window
  }
  if (bits < 0 || bits > 7) return yield* failed(`${bits} unused bits of a byte`)
  while (produced < length) {
    const inflated = yield* inflate({ input, ...start, output, outputOffset: produced })
    if (typeof inflated === "string") return yield* failed(inflated)
    produced += inflated.produced
    if (produced === length) break
    if (!inflated.ended) return yield* failed("the compressed bytes end too early")
    const rest = input.subarray(inflated.consumed)
    if (rest.length <= trailerSize) return yield* failed("the compressed bytes end with their last gzip member")
    // What zlib let pass when the ztoc was built must pass here.
    const header = parseGzipHeader(rest.subarray(trailerSize), ZtocLimits.gzipHeaderBytes)
    if (Result.isFailure(header)) return yield* failed(header.failure.reason)
    input = rest.subarray(trailerSize + header.success.length)
    start = { bits: 0, bitsValue: 0, window: undefined }
  }
  return output
})

/**
 * The header of a gzip member (RFC 1952, section 2.3), with the limits that the reference's reader has (ztoc spec, 3.4).
 */
import * as Result from "effect/Result"
import { crc32 } from "node:zlib"

const flagHeaderCrc = 0x02
const flagExtra = 0x04
const flagName = 0x08
const flagComment = 0x10
/** In the reference's reader a name or comment has at most 511 bytes before its NUL. */
const textBytes = 512

export interface InvalidGzipHeader {
  readonly reason: string
  /** More bytes could make it valid. */
  readonly truncated: boolean
}

const invalid = (reason: string) => Result.fail({ reason: `gzip: ${reason}`, truncated: false })
const truncated = Result.fail({ reason: "unexpected EOF", truncated: true })

/** The length of the header that `bytes` begin with. `maxText` is the limit for a name or comment, its NUL included. */
export const parseGzipHeader = (
  bytes: Uint8Array,
  maxText = textBytes
): Result.Result<{ readonly length: number }, InvalidGzipHeader> => {
  if (bytes.length < 10) return truncated
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b || bytes[2] !== 8) return invalid("invalid header")
  const flags = bytes[3] ?? 0
  let length = 10
  if (flags & flagExtra) {
    if (bytes.length < length + 2) return truncated
    length += 2 + (bytes[length] ?? 0) + ((bytes[length + 1] ?? 0) << 8)
    if (bytes.length < length) return truncated
  }
  for (const flag of [flagName, flagComment]) {
    if ((flags & flag) === 0) continue
    const end = bytes.subarray(length, length + maxText).indexOf(0)
    if (end < 0) return bytes.length < length + maxText ? truncated : invalid("invalid header")
    length += end + 1
  }
  if (flags & flagHeaderCrc) {
    if (bytes.length < length + 2) return truncated
    const stored = (bytes[length] ?? 0) | ((bytes[length + 1] ?? 0) << 8)
    if ((crc32(bytes.subarray(0, length)) & 0xffff) !== stored) return invalid("invalid header")
    length += 2
  }
  return Result.succeed({ length })
}

/**
 * Writes zinfo blobs: gzip checkpoints, and the table for plain tars (ztoc spec, 3.3 and 4). Free of Effect: the threads that build
 * ztocs import it.
 */
import { Builder } from "flatbuffers"
import type { GzipZinfo, TarZinfo } from "../../services/Ztoc.ts"

/** Deflate can refer this far back. */
export const windowSize = 32_768
/** Count and span size in front of the records. */
export const headerSize = 12
/** in, out, bits and the window. */
export const recordSize = 17 + windowSize

type GzipCheckpoints = Pick<GzipZinfo, "version" | "spanSize" | "checkpoints">

/** A gzip zinfo blob, version 2 or 1 as `zinfo.version` says. */
export const encodeGzipZinfo = (zinfo: GzipCheckpoints): Uint8Array => Buffer.concat(gzipZinfoParts(zinfo))

/** The same in pieces: the windows, which are most of it, are not copied. */
export const gzipZinfoParts = ({ version, spanSize, checkpoints }: GzipCheckpoints): ReadonlyArray<Uint8Array> => {
  const stored = version === 1 ? checkpoints.slice(1) : checkpoints
  const header = Buffer.alloc(headerSize)
  header.writeInt32LE(checkpoints.length, 0)
  header.writeBigInt64LE(BigInt(spanSize), 4)
  const records = stored.flatMap(({ in: input, out, bits, window }) => {
    const place = Buffer.alloc(recordSize - windowSize)
    place.writeBigInt64LE(BigInt(input), 0)
    place.writeBigInt64LE(BigInt(out), 8)
    place.writeUInt8(bits, 16)
    return [place, window]
  })
  return [header, ...records]
}

/** The zinfo blob of a plain tar: a flatbuffer of version, span size and size. */
export const encodeTarZinfo = ({ version, spanSize, size }: Omit<TarZinfo, "algorithm">): Uint8Array => {
  const builder = new Builder(64)
  builder.startObject(3)
  builder.addFieldInt32(0, version, 0)
  builder.addFieldInt64(1, BigInt(spanSize), 0n)
  builder.addFieldInt64(2, BigInt(size), 0n)
  builder.finish(builder.endObject())
  return builder.asUint8Array()
}

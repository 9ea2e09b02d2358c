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

/** A gzip zinfo blob, version 2 or 1 as `zinfo.version` says. */
export const encodeGzipZinfo = (zinfo: Pick<GzipZinfo, "version" | "spanSize" | "checkpoints">): Uint8Array => {
  const stored = zinfo.version === 1 ? zinfo.checkpoints.slice(1) : zinfo.checkpoints
  const blob = Buffer.alloc(headerSize + recordSize * stored.length)
  blob.writeInt32LE(zinfo.checkpoints.length, 0)
  blob.writeBigInt64LE(BigInt(zinfo.spanSize), 4)
  stored.forEach(({ in: input, out, bits, window }, i) => {
    const at = headerSize + recordSize * i
    blob.writeBigInt64LE(BigInt(input), at)
    blob.writeBigInt64LE(BigInt(out), at + 8)
    blob.writeUInt8(bits, at + 16)
    blob.set(window, at + 17)
  })
  return blob
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

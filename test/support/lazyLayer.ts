/**
 * Layers with their ztocs, made by the real builder, and blobs that can be slow, broken or lying.
 */
import { Effect, Result, Stream } from "effect"
import { gzipSync } from "node:zlib"
import { startScan, isScanFailure } from "../../src/layers/ztoc/layerScan.ts"
import type { RemoteBlob } from "../../src/services/RemoteBlob.ts"
import type { LayerToOpen } from "../../src/services/SpanStore.ts"
import type { Ztoc } from "../../src/services/Ztoc.ts"
import { decodeZtoc } from "../../src/streams/codec/ztoc.ts"
import { chunked, descriptorOf, noise } from "./content.ts"

/** A ustar archive of regular files. */
export const tarOf = (files: Readonly<Record<string, Uint8Array>>): Uint8Array => {
  const blocks = Object.entries(files).flatMap(([name, content]) => {
    const header = Buffer.alloc(512)
    header.write(name, 0, 100, "latin1")
    header.write("0000644\0" + "0000000\0".repeat(2), 100)
    header.write(`${content.length.toString(8).padStart(11, "0")}\0${"14524566620".padStart(11, "0")}\0`, 124)
    header.write("        0", 148)
    header.write("ustar\x0000", 257)
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148)
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]
  })
  return Buffer.concat([...blocks, Buffer.alloc(1024)])
}

/** Text that gzip packs into many blocks, at bit offsets of all kinds. */
export const prose = (length: number, seed = 1): Uint8Array =>
  Buffer.from(
    Buffer.from(noise(Math.ceil(length / 2), seed))
      .toString("hex")
      .slice(0, length),
    "latin1"
  )

export interface LazyLayer {
  readonly bytes: Uint8Array
  /** The uncompressed stream. */
  readonly stream: Uint8Array
  readonly ztoc: Ztoc
}

const nameFlag = 8

const gzipOf = (stream: Uint8Array, name: string | undefined): Uint8Array => {
  const bytes = gzipSync(stream)
  if (name === undefined) return new Uint8Array(bytes)
  bytes.writeUInt8(nameFlag, 3)
  return new Uint8Array(Buffer.concat([bytes.subarray(0, 10), Buffer.from(`${name}\0`), bytes.subarray(10)]))
}

export const layerOf = (
  stream: Uint8Array,
  options: {
    readonly spanSize: number
    readonly compression?: "gzip" | "uncompressed"
    /** File name in the gzip header. */
    readonly name?: string
  }
): LazyLayer => {
  const { spanSize, compression = "gzip", name } = options
  const bytes = compression === "gzip" ? gzipOf(stream, name) : stream
  const scan = startScan({ compression, spanSize, buildToolIdentifier: "test" })
  const scanned = scan.push(bytes) ?? scan.end()
  scan.close()
  if (isScanFailure(scanned)) throw new Error(scanned.reason)
  return { bytes, stream, ztoc: Result.getOrThrow(decodeZtoc(scanned.ztoc)) }
}

/** A layer with one file, `data`, of that many bytes, in spans of about 64 KiB. */
export const layerOfSize = (size: number, compression: "gzip" | "uncompressed" = "gzip"): LazyLayer =>
  layerOf(tarOf({ data: prose(size) }), { spanSize: 65_536, compression })

export interface ObservedRead {
  readonly offset: number
  readonly length: number
}

/** A blob that notes what is read of it. `respond` may be replaced at any time. */
export interface ObservedBlob {
  readonly blob: RemoteBlob
  readonly reads: Array<ObservedRead>
  /** Reads that were interrupted. */
  interrupted: number
  active: number
  mostActive: number
  respond: RemoteBlob["read"]
}

export const observedBlob = (bytes: Uint8Array, respond?: RemoteBlob["read"]): ObservedBlob => {
  const observed: ObservedBlob = {
    blob: {
      descriptor: descriptorOf(bytes),
      location: "test/blob",
      read: (offset, length) =>
        Stream.suspend(() => {
          observed.reads.push({ offset, length })
          observed.mostActive = Math.max(observed.mostActive, ++observed.active)
          return observed.respond(offset, length)
        }).pipe(
          Stream.onExit((exit) =>
            Effect.sync(() => {
              observed.active--
              if (exit._tag === "Failure" && exit.cause.reasons.some(({ _tag }) => _tag === "Interrupt")) {
                observed.interrupted++
              }
            })
          )
        )
    },
    reads: [],
    interrupted: 0,
    active: 0,
    mostActive: 0,
    respond: respond ?? ((offset, length) => chunked(bytes.subarray(offset, offset + length), 10_000))
  }
  return observed
}

export const openingOf = ({ ztoc }: LazyLayer, { blob }: ObservedBlob): LayerToOpen => ({
  digest: blob.descriptor.digest,
  ztoc,
  blob
})

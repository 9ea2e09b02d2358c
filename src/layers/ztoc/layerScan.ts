/**
 * Builds the ztoc of one layer from its bytes: checkpoints, span digests and table of contents in one pass. Synchronous; the thread
 * that runs it is `ztocWorker`.
 */
import type { Checkpoint } from "../../services/Ztoc.ts"
import { ZtocLimits } from "../../services/ZtocLimits.ts"
import type { BlockInflaterName } from "../inflate/BlockInflater.ts"
import { encodeTarZinfo, gzipZinfoParts } from "../../streams/codec/zinfoWriter.ts"
import { algorithmNumbers, gzipAlgorithm, writeZtoc } from "../../streams/codec/ztocWriter.ts"
import { type ChosenInflater, chooseInflater } from "./chooseInflater.ts"
import { GzipError, GzipScanner } from "./gzipScanner.ts"
import { MemberHeaders } from "./memberHeaders.ts"
import { SpanHasher } from "./spanHasher.ts"
import { TocListing } from "./tocListing.ts"

export interface ScanOptions {
  readonly compression: "gzip" | "uncompressed"
  readonly spanSize: number
  readonly buildToolIdentifier: string
  /** What must inflate gzip; without it the fastest that works. */
  readonly inflater?: BlockInflaterName | undefined
}

export interface ScannedLayer {
  readonly ztoc: Uint8Array<ArrayBuffer>
  readonly spans: number
  readonly entries: number
  readonly uncompressedSize: number
  readonly withoutXattrs: boolean
  /** What inflated the layer, if it was compressed. */
  readonly inflater: BlockInflaterName | undefined
}

/** Why a layer has no ztoc. */
export interface ScanFailure {
  readonly stage: "gzip" | "tar" | "marshal"
  readonly reason: string
  readonly offset: number
}

/** A pass over a layer's bytes. `push` and `end` answer with the failure that ended it. */
export interface LayerScan {
  readonly uncompressedSize: number
  push(chunk: Uint8Array): ScanFailure | undefined
  end(): ScannedLayer | ScanFailure
  close(): void
}

export const startScan = (options: ScanOptions): LayerScan =>
  options.compression === "gzip" ? new GzipLayerScan(options) : new TarLayerScan(options)

export const isScanFailure = (result: ScannedLayer | ScanFailure): result is ScanFailure => "stage" in result

class GzipLayerScan implements LayerScan {
  readonly #options: ScanOptions
  readonly #checkpoints: Array<Checkpoint> = []
  readonly #listing = new TocListing()
  readonly #headers = new MemberHeaders()
  readonly #hasher = new SpanHasher()
  readonly #inflater: ChosenInflater
  readonly #scanner: GzipScanner
  #size = 0
  uncompressedSize = 0

  constructor(options: ScanOptions) {
    this.#options = options
    this.#inflater = chooseInflater(options.inflater)
    this.#scanner = new GzipScanner(options.spanSize, this.#inflater.make(), {
      onCheckpoint: (checkpoint) => {
        if (this.#checkpoints.length === ZtocLimits.checkpoints) throw new TooManySpans(checkpoint.in)
        this.#checkpoints.push(checkpoint)
        this.#hasher.startSpan(checkpoint.in, checkpoint.bits !== 0)
      },
      onOutput: (bytes) => {
        this.uncompressedSize += bytes.length
        this.#listing.push(bytes)
      },
      onMember: (offset) => {
        const error = this.#listing.finished ? undefined : this.#headers.begin(offset)
        if (error) this.#listing.fail(error)
      }
    })
  }

  push(chunk: Uint8Array): ScanFailure | undefined {
    return asFailure(() => {
      this.#size += chunk.length
      this.#hasher.push(chunk)
      const error = this.#headers.push(chunk)
      if (error) this.#listing.fail(error)
      this.#scanner.push(chunk)
      return undefined
    })
  }

  end(): ScannedLayer | ScanFailure {
    return asFailure(() => {
      this.#scanner.end()
      const spanDigests = this.#hasher.finish()
      const { spanSize } = this.#options
      const checkpoints = gzipZinfoParts({ version: 2, spanSize, checkpoints: this.#checkpoints.splice(0) })
      return assemble(this.#options, this.#listing, {
        size: this.#size,
        spanDigests,
        checkpoints,
        uncompressedSize: this.uncompressedSize,
        inflater: this.#inflater.name
      })
    })
  }

  close(): void {
    this.#scanner.close()
  }
}

/** A plain tar: its spans are equal cuts of the file. */
class TarLayerScan implements LayerScan {
  readonly #options: ScanOptions
  readonly #listing = new TocListing()
  readonly #hasher = new SpanHasher()
  #nextSpan = 0
  uncompressedSize = 0

  constructor(options: ScanOptions) {
    this.#options = options
  }

  push(chunk: Uint8Array): ScanFailure | undefined {
    this.#hasher.push(chunk)
    this.#listing.push(chunk)
    this.uncompressedSize += chunk.length
    if (this.uncompressedSize / this.#options.spanSize > ZtocLimits.spans) {
      return { stage: "marshal", reason: "cannot marshal Ztoc to flatbuffers", offset: this.uncompressedSize }
    }
    for (; this.#nextSpan < this.uncompressedSize; this.#nextSpan += this.#options.spanSize) {
      this.#hasher.startSpan(this.#nextSpan, false)
    }
    return undefined
  }

  end(): ScannedLayer | ScanFailure {
    const size = this.uncompressedSize
    return assemble(this.#options, this.#listing, {
      size,
      spanDigests: this.#hasher.finish(),
      checkpoints: [encodeTarZinfo({ version: 2, spanSize: this.#options.spanSize, size })],
      uncompressedSize: size,
      inflater: undefined
    })
  }

  close(): void {
    this.#nextSpan = Infinity
  }
}

/** More than a flatbuffer holds, which the reference finds out at the end. */
class TooManySpans extends Error {
  readonly offset: number
  constructor(offset: number) {
    super("cannot marshal Ztoc to flatbuffers")
    this.offset = offset
  }
}

const asFailure = <A>(run: () => A): A | ScanFailure => {
  try {
    return run()
  } catch (error) {
    if (error instanceof GzipError) return { stage: "gzip", reason: error.message, offset: error.offset }
    if (error instanceof TooManySpans) return { stage: "marshal", reason: error.message, offset: error.offset }
    throw error
  }
}

const assemble = (
  { compression, buildToolIdentifier }: ScanOptions,
  listing: TocListing,
  scanned: {
    readonly size: number
    readonly spanDigests: ReadonlyArray<string>
    readonly checkpoints: ReadonlyArray<Uint8Array>
    readonly uncompressedSize: number
    readonly inflater: BlockInflaterName | undefined
  }
): ScannedLayer | ScanFailure => {
  listing.end()
  if (listing.error) return { stage: "tar", ...listing.error }
  const { size, spanDigests, checkpoints, uncompressedSize, inflater } = scanned
  try {
    const ztoc = writeZtoc(
      {
        version: "0.9",
        buildToolIdentifier: Buffer.from(buildToolIdentifier).toString("latin1"),
        compressedArchiveSize: size,
        uncompressedArchiveSize: listing.archiveSize,
        entries: listing.entries,
        compressionAlgorithm: compression,
        maxSpanId: spanDigests.length - 1,
        spanDigests,
        checkpoints
      },
      algorithmNumbers.get(compression) ?? gzipAlgorithm
    )
    const { entries, withoutXattrs } = listing
    return {
      // Not copied: it can be a large part of what the process holds.
      ztoc:
        ztoc.buffer instanceof ArrayBuffer ? new Uint8Array(ztoc.buffer, ztoc.byteOffset, ztoc.length) : ztoc.slice(),
      spans: spanDigests.length,
      entries: entries.length,
      uncompressedSize,
      withoutXattrs,
      inflater
    }
  } catch (error) {
    if (!(error instanceof Error && error.message.includes("cannot grow buffer"))) throw error
    return { stage: "marshal", reason: "cannot marshal Ztoc to flatbuffers", offset: size }
  }
}

/**
 * Finds the checkpoints of a gzip layer while it is inflated, once, in chunks (ztoc spec, 3.1 and 3.2).
 *
 * Inflating only stops at block boundaries where one could become a checkpoint: up to `spanSize` bytes behind the latest one it runs
 * freely. Memory is the output buffer and 32 KiB for each checkpoint found.
 */
import type { Checkpoint } from "../../services/Ztoc.ts"
import { windowSize } from "../../streams/codec/zinfoWriter.ts"
import { type BlockInflater, Flush, Status } from "../inflate/BlockInflater.ts"

/** Output of one step: large enough that calls do not count, small enough for the cache beside it. */
const outputSize = 256 * 1024

const noOutput = Buffer.alloc(windowSize)

const atBoundary = 128
const inLastBlock = 64
const unusedBits = 7

export interface GzipScanHandlers {
  readonly onCheckpoint: (checkpoint: Checkpoint) => void
  /** Inflated bytes in order; valid during the call. */
  readonly onOutput: (bytes: Uint8Array) => void
  /** A member begins at this offset of the layer. */
  readonly onMember: (offset: number) => void
}

/** The stream is no valid gzip; `offset` is how far it was. */
export class GzipError extends Error {
  override readonly name = "GzipError"
  readonly offset: number
  constructor(offset: number) {
    super("could not generate gzip zinfo. gzip error: -3")
    this.offset = offset
  }
}

export class GzipScanner {
  readonly #spanSize: number
  readonly #handlers: GzipScanHandlers
  readonly #inflater: BlockInflater
  /** The latest output; the window of a checkpoint is in front of `#end`. */
  readonly #buffer = Buffer.alloc(windowSize + outputSize)
  #end = windowSize
  #consumed = 0
  #produced = 0
  #latest = 0
  #memberEnded = true

  /** `inflater` reads gzip and belongs to the scanner from now on. */
  constructor(spanSize: number, inflater: BlockInflater, handlers: GzipScanHandlers) {
    this.#inflater = inflater
    this.#spanSize = spanSize
    this.#handlers = handlers
  }

  push(input: Uint8Array): void {
    this.#inflater.setInput(input)
    const before = this.#consumed
    for (let more = input.length > 0; more;) {
      if (this.#memberEnded) this.#beginMember(before + input.length - this.#inflater.unused)
      const outputFull = this.#step()
      this.#consumed = before + input.length - this.#inflater.unused
      this.#takeCheckpoint()
      more = this.#inflater.unused > 0 || (outputFull && !this.#memberEnded)
    }
  }

  /** The layer has ended: it must have ended with a whole member. */
  end(): void {
    if (!this.#memberEnded || this.#consumed === 0) throw new GzipError(this.#consumed)
  }

  close(): void {
    this.#inflater.close()
  }

  #beginMember(offset: number): void {
    if (offset > 0) this.#inflater.reset()
    this.#memberEnded = false
    this.#handlers.onMember(offset)
  }

  /** Bytes that can be inflated before a block boundary is of interest; 0 when the next one is. */
  get #free(): number {
    return this.#produced === 0 ? 0 : Math.max(0, this.#latest + this.#spanSize - this.#produced)
  }

  /** Inflates a stretch; tells whether more may be waiting than there was room for. */
  #step(): boolean {
    if (this.#end === this.#buffer.length) {
      this.#buffer.copyWithin(0, this.#end - windowSize, this.#end)
      this.#end = windowSize
    }
    const space = this.#buffer.length - this.#end
    const free = this.#free
    const room = free === 0 ? space : Math.min(space, free)
    this.#inflater.setOutput(this.#buffer, this.#end, room)
    const status = this.#inflater.inflate(free === 0 ? Flush.block : Flush.none)
    if (status !== Status.ok && status !== Status.streamEnd && status !== Status.bufError) {
      throw new GzipError(this.#consumed)
    }
    const produced = this.#inflater.produced
    this.#produced += produced
    this.#end += produced
    if (produced > 0) this.#handlers.onOutput(this.#buffer.subarray(this.#end - produced, this.#end))
    this.#memberEnded = status === Status.streamEnd
    return produced === room
  }

  #takeCheckpoint(): void {
    const position = this.#inflater.position
    if (this.#memberEnded || (position & atBoundary) === 0 || (position & inLastBlock) !== 0) return
    if (this.#produced !== 0 && this.#produced - this.#latest <= this.#spanSize) return
    this.#latest = this.#produced
    this.#handlers.onCheckpoint({
      in: this.#consumed,
      out: this.#produced,
      bits: position & unusedBits,
      // Checkpoints in front of all output are as many as the layer has empty blocks: they share a window.
      window: this.#produced === 0 ? noOutput : Buffer.from(this.#buffer.subarray(this.#end - windowSize, this.#end))
    })
  }
}

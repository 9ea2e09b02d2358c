/**
 * Digests of a layer's spans while its bytes pass. A span that starts between two bits begins with the byte it shares with the span
 * before (ztoc spec, section 7).
 */
import { createHash, type Hash } from "node:crypto"

export class SpanHasher {
  readonly #digests: Array<string> = []
  #hash: Hash | undefined
  #chunk: Uint8Array = new Uint8Array(0)
  #chunkStart = 0
  #hashed = 0
  #byteBefore: Uint8Array = new Uint8Array(0)

  /** The bytes that `startSpan` refers to from now on; earlier ones are counted in. */
  push(chunk: Uint8Array): void {
    this.#flush(this.#chunkStart + this.#chunk.length)
    if (this.#chunk.length > 0) this.#byteBefore = Buffer.from(this.#chunk.subarray(-1))
    this.#chunkStart += this.#chunk.length
    this.#chunk = chunk
  }

  /** A span starts at `offset`, which lies in the latest chunk or at its end, or one byte earlier when it shares that one. */
  startSpan(offset: number, sharesByteBefore: boolean): void {
    this.#flush(offset)
    this.#finishSpan()
    this.#hash = createHash("sha256")
    if (sharesByteBefore) this.#hash.update(this.#bytesBefore(offset))
  }

  /** The digests of all spans, the last of which ends here. */
  finish(): ReadonlyArray<string> {
    this.push(new Uint8Array(0))
    this.#finishSpan()
    return this.#digests
  }

  #bytesBefore(offset: number): Uint8Array {
    const at = offset - this.#chunkStart
    return at === 0 ? this.#byteBefore : this.#chunk.subarray(at - 1, at)
  }

  #flush(offset: number): void {
    this.#hash?.update(this.#chunk.subarray(this.#hashed - this.#chunkStart, offset - this.#chunkStart))
    this.#hashed = offset
  }

  #finishSpan(): void {
    if (this.#hash) this.#digests.push(`sha256:${this.#hash.digest("hex")}`)
    this.#hash = undefined
  }
}

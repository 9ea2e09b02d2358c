/**
 * The inflate stream of pako, a port of zlib's to plain JavaScript: for machines where nothing native can be loaded.
 */
import {
  ZStream,
  zlibInflate,
  zlibInflateEnd,
  zlibInflateInit2,
  zlibInflateReset,
  zlibInflateSetDictionary
} from "pako"
import { type BlockInflater, type Flush, Status } from "./BlockInflater.ts"

export class PakoStream implements BlockInflater {
  readonly #stream = new ZStream()
  #offered = 0

  constructor(windowBits: number) {
    const status = zlibInflateInit2(this.#stream, windowBits)
    if (status !== Status.ok) throw new Error(`pako's inflateInit2 answered ${status}`)
  }

  setInput(bytes: Uint8Array): void {
    this.#stream.input = bytes
    this.#stream.next_in = 0
    this.#stream.avail_in = bytes.length
  }

  setOutput(buffer: Uint8Array<ArrayBuffer>, offset: number, length: number): void {
    this.#stream.output = buffer
    this.#stream.next_out = offset
    this.#stream.avail_out = length
    this.#offered = length
  }

  get unused(): number {
    return this.#stream.avail_in
  }

  get produced(): number {
    return this.#offered - this.#stream.avail_out
  }

  /** What is wrong with the data, in zlib's words. */
  get problem(): string {
    return this.#stream.msg
  }

  get isFull(): boolean {
    return this.#stream.avail_out === 0
  }

  get position(): number {
    return this.#stream.data_type
  }

  inflate(flush: Flush): number {
    return zlibInflate(this.#stream, flush)
  }

  reset(): void {
    zlibInflateReset(this.#stream)
  }

  /** Feeds single bits before the first byte; pako has no `inflatePrime` for it. */
  prime(bits: number, value: number): void {
    const state: { hold: number; bits: number } = this.#stream.state
    state.hold = value
    state.bits = bits
  }

  setDictionary(window: Uint8Array): void {
    const status = zlibInflateSetDictionary(this.#stream, window)
    if (status !== Status.ok) throw new Error(`pako's inflateSetDictionary answered ${status}`)
  }

  close(): void {
    zlibInflateEnd(this.#stream)
  }
}

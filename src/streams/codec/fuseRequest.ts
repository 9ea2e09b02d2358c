/**
 * Requests of the FUSE kernel protocol, read in place from the buffer that read(2) filled. One object serves all requests of a thread:
 * no request allocates.
 */
import { leastBodyBytes, requestHeaderBytes } from "./fuse.ts"

const two32 = 2 ** 32

export class FuseRequest {
  readonly bytes: Uint8Array
  readonly #view: DataView
  #length = 0

  /** `capacity` must be what the kernel asks for: 8 KiB, and the largest write with its header. */
  constructor(capacity: number) {
    const buffer = new ArrayBuffer(capacity)
    this.bytes = new Uint8Array(buffer)
    this.#view = new DataView(buffer)
  }

  /** Takes what was read for a request. False for what is none: too short for its header, its own length or its opcode's. */
  accept(length: number): boolean {
    if (length < requestHeaderBytes || length > this.bytes.length) return false
    this.#length = this.#view.getUint32(0, true)
    return this.#length === length && this.bodyLength >= leastBodyBytes(this.opcode)
  }

  get opcode(): number {
    return this.#view.getUint32(4, true)
  }

  /** The halves of the number that the reply must carry. */
  get uniqueLow(): number {
    return this.#view.getUint32(8, true)
  }
  get uniqueHigh(): number {
    return this.#view.getUint32(12, true)
  }

  /** Exact below 2^53; no node of ours has a greater one. */
  get node(): number {
    return this.#view.getUint32(16, true) + this.#view.getUint32(20, true) * two32
  }

  /** The thread that asks, in our process namespace; 0 where it has no number there. */
  get thread(): number {
    return this.#view.getUint32(32, true)
  }

  get bodyLength(): number {
    return this.#length - requestHeaderBytes
  }

  /** A number of the body, by its offset in there; the opcode's least length must cover it. */
  uint32(at: number): number {
    return this.#view.getUint32(requestHeaderBytes + at, true)
  }

  /** Loses precision above 2^53. */
  uint64(at: number): number {
    return this.uint32(at) + this.uint32(at + 4) * two32
  }

  /** The name that starts at an offset of the body, without its NUL; a view, valid until the next request. Empty where none ends. */
  name(at: number): Uint8Array {
    const start = requestHeaderBytes + at
    const end = this.bytes.indexOf(0, start)
    return end < 0 || end >= this.#length ? this.bytes.subarray(start, start) : this.bytes.subarray(start, end)
  }
}

/**
 * The zlib inside the Node binary, called through koffi: what `node:zlib` does not show, stopping at deflate block
 * boundaries and starting between two bits.
 *
 * Offsets are those of `z_stream` on 64-bit Linux (zlib.h, 112 bytes). Buffers given to a stream must not be resized while it
 * uses them; the class keeps references to them.
 */
import type { KoffiFunc } from "koffi"
import { type BlockInflater, type Flush, Status } from "../inflate/BlockInflater.ts"
import { koffi } from "./koffi.ts"

const streamSize = 112
const at = { nextIn: 0, availIn: 8, nextOut: 24, availOut: 32, dataType: 88 } as const

interface Functions {
  readonly version: string
  readonly init: (stream: Buffer, windowBits: number, version: string, size: number) => number
  readonly inflate: KoffiFunc<(stream: Buffer, flush: number) => number>
  readonly reset: (stream: Buffer) => number
  readonly end: (stream: Buffer) => number
  readonly prime: (stream: Buffer, bits: number, value: number) => number
  readonly setDictionary: (stream: Buffer, dictionary: Uint8Array, length: number) => number
}

let functions: Functions | undefined

/** Finds the functions; throws where koffi or the symbols are missing. */
const load = (): Functions => {
  if (functions) return functions
  const self = koffi().load(null)
  return (functions = {
    version: self.func("const char *zlibVersion()")(),
    init: self.func("int inflateInit2_(void *stream, int windowBits, const char *version, int streamSize)"),
    inflate: self.func("int inflate(void *stream, int flush)"),
    reset: self.func("int inflateReset(void *stream)"),
    end: self.func("int inflateEnd(void *stream)"),
    prime: self.func("int inflatePrime(void *stream, int bits, int value)"),
    setDictionary: self.func("int inflateSetDictionary(void *stream, const uint8_t *dictionary, uint32_t length)")
  })
}

export class ZlibStream implements BlockInflater {
  readonly #functions = load()
  readonly #stream = Buffer.alloc(streamSize)
  #input: Uint8Array = new Uint8Array(0)
  #output: Uint8Array = new Uint8Array(0)
  #offered = 0

  constructor(windowBits: number) {
    const status = this.#functions.init(this.#stream, windowBits, this.#functions.version, streamSize)
    if (status !== Status.ok) throw new Error(`inflateInit2 answered ${status}`)
  }

  setInput(bytes: Uint8Array): void {
    this.#input = bytes
    this.#stream.writeBigUInt64LE(addressOf(bytes), at.nextIn)
    this.#stream.writeUInt32LE(bytes.length, at.availIn)
  }

  setOutput(buffer: Uint8Array, offset: number, length: number): void {
    this.#output = buffer
    this.#stream.writeBigUInt64LE(addressOf(buffer) + BigInt(offset), at.nextOut)
    this.#stream.writeUInt32LE(length, at.availOut)
    this.#offered = length
  }

  get unused(): number {
    return this.#stream.readUInt32LE(at.availIn)
  }

  get produced(): number {
    return this.#offered - this.#stream.readUInt32LE(at.availOut)
  }

  get isFull(): boolean {
    return this.#stream.readUInt32LE(at.availOut) === 0
  }

  get position(): number {
    return this.#stream.readInt32LE(at.dataType)
  }

  inflate(flush: Flush): number {
    return this.#functions.inflate(this.#stream, flush)
  }

  /** The same on a thread of libuv's pool. Neither stream nor buffers may be touched before it answers. */
  inflateAsync(flush: Flush, answer: (error: Error | null, status: number) => void): void {
    this.#functions.inflate.async(this.#stream, flush, answer)
  }

  reset(): void {
    this.#functions.reset(this.#stream)
  }

  /** Feeds single bits before the first byte. */
  prime(bits: number, value: number): void {
    const status = this.#functions.prime(this.#stream, bits, value)
    if (status !== Status.ok) throw new Error(`inflatePrime answered ${status}`)
  }

  setDictionary(window: Uint8Array): void {
    const status = this.#functions.setDictionary(this.#stream, window, window.length)
    if (status !== Status.ok) throw new Error(`inflateSetDictionary answered ${status}`)
  }

  close(): void {
    this.#functions.end(this.#stream)
    this.#input = this.#output = new Uint8Array(0)
  }

  /** What native code reads and writes: referred to here, so that it is not collected meanwhile. */
  get buffers(): readonly [Uint8Array, Uint8Array] {
    return [this.#input, this.#output]
  }
}

const addressOf = (bytes: Uint8Array): bigint => BigInt(koffi().address(bytes))

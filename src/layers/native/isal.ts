/**
 * Intel ISA-L's inflate (Debian package libisal2), called through koffi. Faster than zlib; it knows whole runs only, no block
 * boundaries.
 *
 * Offsets are those of `struct inflate_state` (igzip_lib.h of version 2.30, 87368 bytes). The self-test of the layer that uses this tells whether the
 * library at hand has them.
 */
import type { KoffiFunc } from "koffi"
import { koffi } from "./koffi.ts"

/** More than the structure of any version so far. */
const stateSize = 128 * 1024
const at = {
  nextOut: 0,
  availOut: 8,
  nextIn: 16,
  readIn: 24,
  availIn: 32,
  readInLength: 36,
  blockState: 21_160
} as const

const blockFinished = 5

export const IsalStatus = { ok: 0, endOfInput: 1, outputFull: 2 } as const

interface Functions {
  readonly init: (state: Buffer) => void
  readonly inflate: KoffiFunc<(state: Buffer) => number>
  readonly setDictionary: (state: Buffer, dictionary: Uint8Array, length: number) => number
}

let functions: Functions | undefined

/** Finds the library; throws where it is not installed. */
const load = (): Functions => {
  if (functions) return functions
  const library = koffi().load("libisal.so.2")
  return (functions = {
    init: library.func("void isal_inflate_init(void *state)"),
    inflate: library.func("int isal_inflate(void *state)"),
    setDictionary: library.func("int isal_inflate_set_dict(void *state, const uint8_t *dictionary, uint32_t length)")
  })
}

const addressOf = (bytes: Uint8Array): bigint => BigInt(koffi().address(bytes))

/** One run of raw deflate data into one buffer. */
export class IsalStream {
  readonly #functions = load()
  readonly #state = Buffer.alloc(stateSize)
  readonly #input: Uint8Array
  readonly #output: Uint8Array
  readonly #offered: number

  constructor(input: Uint8Array, output: Uint8Array, outputOffset: number) {
    this.#input = input
    this.#output = output
    this.#offered = output.length - outputOffset
    this.#functions.init(this.#state)
    this.#state.writeBigUInt64LE(addressOf(input), at.nextIn)
    this.#state.writeUInt32LE(input.length, at.availIn)
    this.#state.writeBigUInt64LE(addressOf(output) + BigInt(outputOffset), at.nextOut)
    this.#state.writeUInt32LE(this.#offered, at.availOut)
  }

  /** Feeds single bits before the first byte. */
  prime(bits: number, value: number): void {
    this.#state.writeBigUInt64LE(BigInt(value), at.readIn)
    this.#state.writeInt32LE(bits, at.readInLength)
  }

  setDictionary(window: Uint8Array): void {
    const status = this.#functions.setDictionary(this.#state, window, window.length)
    if (status !== IsalStatus.ok) throw new Error(`isal_inflate_set_dict answered ${status}`)
  }

  /** Runs on a thread of libuv's pool. Nothing of this may be touched before it answers. */
  inflateAsync(answer: (error: Error | null, status: number) => void): void {
    this.#functions.inflate.async(this.#state, answer)
  }

  /** Whole bytes of the input that were used: those read ahead into the bit buffer are given back. */
  get consumed(): number {
    const readAhead = Math.max(0, this.#state.readInt32LE(at.readInLength)) >> 3
    return this.#input.length - this.#state.readUInt32LE(at.availIn) - readAhead
  }

  get produced(): number {
    return this.#offered - this.#state.readUInt32LE(at.availOut)
  }

  /** The final block has ended and all of it is in the output. */
  get ended(): boolean {
    return this.#state.readInt32LE(at.blockState) === blockFinished
  }

  /** What native code reads and writes: referred to here, so that it is not collected meanwhile. */
  get buffers(): readonly [Uint8Array, Uint8Array] {
    return [this.#input, this.#output]
  }
}

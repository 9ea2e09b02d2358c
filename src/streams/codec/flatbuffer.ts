/**
 * Reads flatbuffers from an untrusted source: every offset is checked before it is followed, every count before it is used.
 * (The generated readers of the flatbuffers package check neither.)
 *
 * Accessors throw `InvalidZtoc`, which `readFlatbuffer` turns into a failure: a result value for each of the fourteen fields of
 * each of 50,000 entries costs ten times the reading.
 */
import { Result } from "effect"
import { InvalidZtoc } from "../../services/Ztoc.ts"
import { ZtocLimits } from "../../services/ZtocLimits.ts"

/** Runs `read` on the root table of a buffer. `what` begins the message of every error. */
export const readFlatbuffer = <A>(
  bytes: Uint8Array,
  what: string,
  read: (root: Table) => A
): Result.Result<A, InvalidZtoc> => {
  try {
    const source = new Source(bytes, what)
    return Result.succeed(read(source.table(source.offsetAt(0))))
  } catch (error) {
    if (error instanceof InvalidZtoc) return Result.fail(error)
    throw error
  }
}

/** Reading a table is charged like this many bytes: many offsets can lead to the same one. */
const tableCharge = 64

/**
 * Bytes that may be read from a buffer. Offsets may point at the same place many times, so a small buffer could unfold into a huge
 * value; builders that share strings stay far below.
 */
const budgetFor = (size: number): number =>
  Math.min(ZtocLimits.unfolding * Math.max(size, 4096), 2 * size + ZtocLimits.unfoldedBytes)

class Source {
  readonly view: DataView
  readonly buffer: Buffer
  readonly #what: string
  #budget: number

  constructor(bytes: Uint8Array, what: string) {
    this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#what = what
    this.#budget = budgetFor(bytes.length)
  }

  fail(offset: number, reason: string): never {
    throw new InvalidZtoc({ stage: "unmarshal", field: this.#what, reason, offset })
  }

  check(offset: number, length: number, what: string): void {
    if (offset < 0 || offset + length > this.buffer.length) this.fail(offset, `${what} lies outside the buffer`)
  }

  #charge(at: number, bytes: number): void {
    this.#budget -= bytes
    if (this.#budget < 0) this.fail(at, "the same bytes are referred to too often")
  }

  /** Follows the unsigned offset stored at `at`. */
  offsetAt(at: number): number {
    this.check(at, 4, "an offset")
    return at + this.view.getUint32(at, true)
  }

  table(at: number): Table {
    this.check(at, 4, "a table")
    const vtable = at - this.view.getInt32(at, true)
    this.check(vtable, 4, "a vtable")
    const size = this.view.getUint16(vtable, true)
    if (size < 4) this.fail(vtable, "a vtable is too short")
    this.check(vtable, size, "a vtable")
    this.#charge(at, tableCharge)
    return new Table(this, at, vtable, size)
  }

  /** How many elements the vector at `at` has; they begin 4 bytes behind its place. */
  vectorLength(at: number, elementSize: number): number {
    this.check(at, 4, "a vector")
    const length = this.view.getUint32(at, true)
    this.check(at + 4, length * elementSize, "an element of a vector")
    this.#charge(at, 4 + length * elementSize)
    return length
  }

  string(at: number): string {
    const vector = this.offsetAt(at)
    const length = this.vectorLength(vector, 1)
    return length === 0 ? "" : this.buffer.toString("latin1", vector + 4, vector + 4 + length)
  }
}

/** A table inside a buffer; fields are named by their slot. */
export class Table {
  readonly #source: Source
  readonly #at: number
  readonly #vtable: number
  readonly #size: number

  constructor(source: Source, at: number, vtable: number, size: number) {
    this.#source = source
    this.#at = at
    this.#vtable = vtable
    this.#size = size
  }

  /** Where a field of `width` bytes is stored, 0 when it is absent. */
  #field(slot: number, width: number): number {
    const entry = 4 + 2 * slot
    if (entry + 2 > this.#size) return 0
    const offset = this.#source.view.getUint16(this.#vtable + entry, true)
    if (offset === 0) return 0
    this.#source.check(this.#at + offset, width, "a field")
    return this.#at + offset
  }

  int8(slot: number, absent: number): number {
    const at = this.#field(slot, 1)
    return at === 0 ? absent : this.#source.view.getInt8(at)
  }

  int32(slot: number): number {
    const at = this.#field(slot, 4)
    return at === 0 ? 0 : this.#source.view.getInt32(at, true)
  }

  uint32(slot: number): number {
    return this.int32(slot) >>> 0
  }

  int64(slot: number): bigint {
    const at = this.#field(slot, 8)
    return at === 0 ? 0n : this.#source.view.getBigInt64(at, true)
  }

  /** An int64 that is a size, count or offset: not negative, and exact as a number. */
  size(slot: number, name: string): number {
    const at = this.#field(slot, 8)
    if (at === 0) return 0
    const high = this.#source.view.getInt32(at + 4, true)
    if (high < 0 || high >= 2 ** 21) this.#source.fail(at, `${name} is out of range: ${this.int64(slot)}`)
    return high * 2 ** 32 + this.#source.view.getUint32(at, true)
  }

  /** A string as its bytes, one character each; empty when absent. */
  string(slot: number): string {
    const at = this.#field(slot, 4)
    return at === 0 ? "" : this.#source.string(at)
  }

  /** A byte vector, as a view; empty when absent. */
  bytes(slot: number): Uint8Array {
    const at = this.#field(slot, 4)
    if (at === 0) return new Uint8Array(0)
    const vector = this.#source.offsetAt(at)
    const length = this.#source.vectorLength(vector, 1)
    return this.#source.buffer.subarray(vector + 4, vector + 4 + length)
  }

  /** The elements of a vector of at most `limit` strings. */
  strings(slot: number, limit: number): ReadonlyArray<string> {
    return this.#elements(slot, limit, (at) => this.#source.string(at))
  }

  table(slot: number, name: string): Table {
    const at = this.#field(slot, 4)
    return at === 0 ? this.#source.fail(this.#at, `${name} is missing`) : this.#source.table(this.#source.offsetAt(at))
  }

  /** The elements of a vector of at most `limit` tables. */
  tables<A>(slot: number, limit: number, read: (table: Table) => A): ReadonlyArray<A> {
    return this.#elements(slot, limit, (at) => read(this.#source.table(this.#source.offsetAt(at))))
  }

  #elements<A>(slot: number, limit: number, read: (at: number) => A): ReadonlyArray<A> {
    const at = this.#field(slot, 4)
    if (at === 0) return []
    const vector = this.#source.offsetAt(at)
    const length = this.#source.vectorLength(vector, 4)
    if (length > limit) this.#source.fail(vector, `${length} elements; at most ${limit} are read`)
    const elements: Array<A> = []
    for (let i = 0; i < length; i++) elements.push(read(vector + 4 + 4 * i))
    return elements
  }
}

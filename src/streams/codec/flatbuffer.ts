/**
 * Reads flatbuffers from an untrusted source: every offset is checked before it is followed, every count before it is used.
 * (The generated readers of the flatbuffers package check neither.)
 */
import { Result } from "effect"
import { InvalidZtoc } from "../../services/Ztoc.ts"

type Read<A> = Result.Result<A, InvalidZtoc>

/** A table inside a buffer; fields are named by their slot. Absent fields give the default. */
export interface Table {
  int8(slot: number, absent: number): Read<number>
  int32(slot: number, absent: number): Read<number>
  uint32(slot: number, absent: number): Read<number>
  int64(slot: number, absent: bigint): Read<bigint>
  /** A string as its bytes, one character each; empty when absent. */
  string(slot: number): Read<string>
  /** A byte vector, as a view; empty when absent. */
  bytes(slot: number): Read<Uint8Array>
  strings(slot: number): Read<ReadonlyArray<string>>
  table(slot: number): Read<Table | undefined>
  /** How many tables a vector has, and how to get one. */
  tables(slot: number): Read<{ readonly length: number; at(index: number): Read<Table> }>
}

/** The root table of a buffer. `what` begins the message of every error. */
export const readRootTable = (bytes: Uint8Array, what: string): Read<Table> => {
  const source = new Source(bytes, what)
  return Result.flatMap(source.offsetAt(0), (at) => source.table(at))
}

/**
 * Offsets may point at the same place many times, so a small buffer could unfold into a huge value. Builders that share strings
 * stay far below this many times the buffer's own size.
 */
const unfolding = 16

class Source {
  readonly #view: DataView
  readonly #bytes: Buffer
  readonly #what: string
  #budget: number

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#what = what
    this.#budget = unfolding * Math.max(bytes.length, 4096)
  }

  fail(offset: number, reason: string): Result.Result<never, InvalidZtoc> {
    return Result.fail(new InvalidZtoc({ stage: "unmarshal", field: this.#what, reason, offset }))
  }

  inside(offset: number, length: number): boolean {
    return offset >= 0 && length >= 0 && offset + length <= this.#bytes.length
  }

  /** Follows the unsigned offset stored at `at`. */
  offsetAt(at: number): Read<number> {
    if (!this.inside(at, 4)) return this.fail(at, "the buffer ends inside an offset")
    return Result.succeed(at + this.#view.getUint32(at, true))
  }

  table(at: number): Read<Table> {
    if (!this.inside(at, 4)) return this.fail(at, "a table lies outside the buffer")
    const vtable = at - this.#view.getInt32(at, true)
    if (!this.inside(vtable, 4)) return this.fail(at, "a vtable lies outside the buffer")
    const size = this.#view.getUint16(vtable, true)
    if (size < 4 || !this.inside(vtable, size)) return this.fail(vtable, "a vtable does not fit into the buffer")
    return Result.succeed(new CheckedTable(this, this.#view, at, vtable, size))
  }

  /** The elements of the vector at `at`: where they begin and how many there are. */
  vector(at: number, elementSize: number): Read<{ readonly first: number; readonly length: number }> {
    return Result.flatMap(this.offsetAt(at), (vector) => {
      if (!this.inside(vector, 4)) return this.fail(vector, "a vector lies outside the buffer")
      const length = this.#view.getUint32(vector, true)
      if (!this.inside(vector + 4, length * elementSize)) {
        return this.fail(vector, `${length} elements do not fit into the buffer`)
      }
      this.#budget -= 4 + length * elementSize
      if (this.#budget < 0) return this.fail(vector, "the same bytes are referred to too often")
      return Result.succeed({ first: vector + 4, length })
    })
  }

  string(at: number): Read<string> {
    return Result.map(this.vector(at, 1), ({ first, length }) => this.#bytes.toString("latin1", first, first + length))
  }

  bytes(at: number): Read<Uint8Array> {
    return Result.map(this.vector(at, 1), ({ first, length }) => this.#bytes.subarray(first, first + length))
  }
}

class CheckedTable implements Table {
  readonly #source: Source
  readonly #view: DataView
  readonly #at: number
  readonly #vtable: number
  readonly #size: number

  constructor(source: Source, view: DataView, at: number, vtable: number, size: number) {
    this.#source = source
    this.#view = view
    this.#at = at
    this.#vtable = vtable
    this.#size = size
  }

  /** Where a field is stored, undefined when it is absent. */
  #field(slot: number): number | undefined {
    const entry = 4 + 2 * slot
    if (entry + 2 > this.#size) return undefined
    const offset = this.#view.getUint16(this.#vtable + entry, true)
    return offset === 0 ? undefined : this.#at + offset
  }

  #scalar<A>(slot: number, size: number, absent: A, read: (at: number) => A): Read<A> {
    const at = this.#field(slot)
    if (at === undefined) return Result.succeed(absent)
    return this.#source.inside(at, size)
      ? Result.succeed(read(at))
      : this.#source.fail(at, "a field lies outside the buffer")
  }

  int8(slot: number, absent: number): Read<number> {
    return this.#scalar(slot, 1, absent, (at) => this.#view.getInt8(at))
  }

  int32(slot: number, absent: number): Read<number> {
    return this.#scalar(slot, 4, absent, (at) => this.#view.getInt32(at, true))
  }

  uint32(slot: number, absent: number): Read<number> {
    return this.#scalar(slot, 4, absent, (at) => this.#view.getUint32(at, true))
  }

  int64(slot: number, absent: bigint): Read<bigint> {
    return this.#scalar(slot, 8, absent, (at) => this.#view.getBigInt64(at, true))
  }

  string(slot: number): Read<string> {
    const at = this.#field(slot)
    return at === undefined ? Result.succeed("") : this.#source.string(at)
  }

  bytes(slot: number): Read<Uint8Array> {
    const at = this.#field(slot)
    return at === undefined ? Result.succeed(new Uint8Array(0)) : this.#source.bytes(at)
  }

  strings(slot: number): Read<ReadonlyArray<string>> {
    const at = this.#field(slot)
    if (at === undefined) return Result.succeed([])
    const source = this.#source
    return Result.gen(function* () {
      const { first, length } = yield* source.vector(at, 4)
      const texts: Array<string> = []
      for (let i = 0; i < length; i++) texts.push(yield* source.string(first + 4 * i))
      return texts
    })
  }

  table(slot: number): Read<Table | undefined> {
    const at = this.#field(slot)
    if (at === undefined) return Result.succeed(undefined)
    return Result.flatMap(this.#source.offsetAt(at), (table) => this.#source.table(table))
  }

  tables(slot: number): Read<{ readonly length: number; at(index: number): Read<Table> }> {
    const at = this.#field(slot)
    const source = this.#source
    if (at === undefined) {
      return Result.succeed({ length: 0, at: () => source.fail(0, "an element of an absent vector") })
    }
    return Result.map(source.vector(at, 4), ({ first, length }) => ({
      length,
      at: (index) => Result.flatMap(source.offsetAt(first + 4 * index), (table) => source.table(table))
    }))
  }
}

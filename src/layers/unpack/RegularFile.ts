/**
 * A regular file while its data arrive. Holes of sparse files stay holes.
 */
import type { TarEntry } from "../../streams/codec/tar.ts"
import { close, truncate, writeAt } from "../native/fileSystem.ts"
import { type Attributes, setOnFile } from "./attributes.ts"
import { check, EntryProblem } from "./EntryProblem.ts"

/** Consecutive data of the archive that go to one place of the file. */
interface Stretch {
  readonly offset: number
  readonly length: number
}

/** No file can be longer (off_t), and no number of ours is exact beyond 2^53. */
const stretchesOf = ({ sparse, dataLength }: TarEntry): ReadonlyArray<Stretch> =>
  sparse === undefined
    ? [{ offset: 0, length: dataLength }]
    : sparse.map(({ offset, length }) => ({ offset: Number(offset), length: Number(length) }))

export class RegularFile {
  readonly #descriptor: number
  readonly #stretches: ReadonlyArray<Stretch>
  readonly #size: number | undefined
  readonly #attributes: Attributes
  #stretch = 0
  #written = 0

  constructor(descriptor: number, entry: TarEntry, attributes: Attributes) {
    this.#descriptor = descriptor
    this.#stretches = stretchesOf(entry)
    this.#size = entry.sparse === undefined ? undefined : entry.size
    this.#attributes = attributes
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const stretch = this.#stretches[this.#stretch]
      if (stretch === undefined) throw new EntryProblem("read the sparse map", "more data than the map has places for")
      const length = Math.min(bytes.length - at, stretch.length - this.#written)
      this.#writeAll(bytes.subarray(at, at + length), stretch.offset + this.#written)
      at += length
      this.#written += length
      this.#skipFull()
    }
  }

  /** All data are there: gives the file its size and attributes, and closes it. */
  finish(): void {
    this.#skipFull()
    if (this.#stretch < this.#stretches.length)
      throw new EntryProblem("read the sparse map", "fewer data than it has places for")
    if (this.#size !== undefined) check(`set the size to ${this.#size}`, truncate(this.#descriptor, this.#size))
    setOnFile(this.#descriptor, this.#attributes)
    check("close the file", this.close())
  }

  close(): number {
    return close(this.#descriptor)
  }

  #skipFull(): void {
    while (this.#written === this.#stretches[this.#stretch]?.length) {
      this.#stretch++
      this.#written = 0
    }
  }

  #writeAll(bytes: Uint8Array, offset: number): void {
    for (let at = 0; at < bytes.length;) {
      at += check(
        `write ${bytes.length} bytes at ${offset}`,
        writeAt(this.#descriptor, bytes.subarray(at), offset + at)
      )
    }
  }
}

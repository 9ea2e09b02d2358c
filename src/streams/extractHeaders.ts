/**
 * Checks all tar headers of a layer while its uncompressed stream passes once.
 */
import { Result } from "effect"
import { TarHeaderMismatch } from "../services/ZtocReader.ts"
import { TarReader } from "./codec/tar.ts"
import type { PlacedEntry } from "./codec/ztoc.ts"
import { checkHeaderLength, checkTarHeader, mismatch, readable } from "./tarHeaderCheck.ts"

type Checked = Result.Result<void, TarHeaderMismatch>

/** Chunks go in, in order; memory is the headers of one entry. */
export class HeaderChecks {
  readonly #entries: ReadonlyArray<PlacedEntry>
  readonly #rest: TarReader
  #next = 0
  #position = 0
  #header: Array<Uint8Array> = []
  #unlisted: TarHeaderMismatch | undefined

  constructor(entries: ReadonlyArray<PlacedEntry>) {
    this.#entries = entries
    const last = entries.at(-1)
    const end = last === undefined ? 0 : last.entry.offset + Math.ceil(last.entry.size / 512) * 512
    this.#rest = new TarReader({
      onEntry: ({ name, offset }) => {
        this.#unlisted ??= new TarHeaderMismatch({
          kind: "unlisted",
          entry: readable(name).slice(0, 256),
          offset: end + offset,
          length: 0,
          field: "entries",
          expected: "the end of the archive",
          actual: "an entry"
        })
      }
    })
  }

  push(chunk: Uint8Array): Checked {
    const start = this.#position
    const end = (this.#position = start + chunk.length)
    for (;;) {
      const placed = this.#entries[this.#next]
      if (placed === undefined) return this.#pushRest(chunk, start)
      const length = checkHeaderLength(placed)
      if (Result.isFailure(length)) return Result.fail(length.failure)
      const { entry, headerOffset } = placed
      if (headerOffset < end && entry.offset > start) {
        // A chunk may be a view of memory that is used again.
        this.#header.push(chunk.slice(Math.max(headerOffset - start, 0), Math.min(entry.offset, end) - start))
      }
      if (entry.offset > end) return Result.void
      this.#next++
      const checked = checkTarHeader(placed, Buffer.concat(this.#header))
      this.#header = []
      if (Result.isFailure(checked)) return checked
    }
  }

  /** The stream has ended, and everything was seen. */
  end(): Checked {
    const placed = this.#entries[this.#next]
    if (placed === undefined) return Result.void
    return Result.fail(mismatch(placed, "unreadable", ["header", "a tar header", "the stream ends before it"]))
  }

  #pushRest(chunk: Uint8Array, start: number): Checked {
    const last = this.#entries.at(-1)
    const from = last === undefined ? 0 : last.entry.offset + Math.ceil(last.entry.size / 512) * 512
    this.#rest.push(chunk.subarray(Math.max(from - start, 0)))
    return this.#unlisted === undefined ? Result.void : Result.fail(this.#unlisted)
  }
}

/**
 * Collects the table of contents while a layer's uncompressed stream passes. An error is kept until the end: a broken compressed
 * stream is reported before a broken tar (ztoc spec, section 7).
 */
import type { TocEntry } from "../../services/Ztoc.ts"
import { ZtocLimits } from "../../services/ZtocLimits.ts"
import { type TarEntry, TarReader } from "../../streams/codec/tar.ts"
import { sortedPax } from "../../streams/codec/ztocWriter.ts"

/** The layer cannot be listed. */
export interface ListingError {
  readonly reason: string
  readonly offset: number
}

export class TocListing {
  readonly entries: Array<TocEntry> = []
  /** No entry has an extended attribute, none is an opaque marker (index-and-artifacts, 4.6). */
  withoutXattrs = true
  #error: ListingError | undefined
  #bytes = 0
  readonly #reader = new TarReader({ onEntry: (entry) => this.#add(entry) })

  get error(): ListingError | undefined {
    return this.#error
  }

  get archiveSize(): number {
    return this.#reader.archiveSize
  }

  /** Nothing more will be listed. */
  get finished(): boolean {
    return this.#error !== undefined || this.#reader.finished
  }

  push(bytes: Uint8Array): void {
    if (this.finished) return
    this.#keep(this.#reader.push(bytes))
  }

  end(): void {
    if (this.finished) return
    this.#keep(this.#reader.end())
  }

  /** Ends the listing for a reason found outside the tar. */
  fail(error: ListingError): void {
    this.#error ??= error
  }

  #keep(error: Error | undefined): void {
    if (error) this.fail({ reason: `error while reading tar header: ${error.message}`, offset: this.archiveSize })
  }

  #add(entry: TarEntry): void {
    if (this.#error) return
    if (entry.type === undefined) {
      this.fail({ reason: `unsupported input tar entry ${quoted(entry.typeflag)}`, offset: entry.offset })
      return
    }
    const pax = sortedPax(entry.records)
    this.#bytes += bytesOf(entry)
    if (this.#bytes > ZtocLimits.tocBytes || this.entries.length === ZtocLimits.entries) {
      this.entries.length = 0
      this.fail({ reason: tooLarge, offset: entry.offset })
      return
    }
    if (entry.name.endsWith(".wh..wh..opq") || pax.some(([key]) => key.startsWith("SCHILY.xattr."))) {
      this.withoutXattrs = false
    }
    this.entries.push({
      name: entry.name,
      type: entry.type,
      offset: entry.offset,
      size: entry.size,
      linkname: entry.linkname,
      mode: entry.mode,
      uid: entry.uid,
      gid: entry.gid,
      uname: entry.uname,
      gname: entry.gname,
      modTime: entry.modTime,
      devmajor: entry.devmajor,
      devminor: entry.devminor,
      pax
    })
  }
}

const tooLarge = `a table of contents of more than ${ZtocLimits.entries} entries or ${ZtocLimits.tocBytes} bytes`

/** Memory that an entry takes, about. */
const bytesOf = ({ name, linkname, uname, gname, records }: TarEntry): number => {
  let bytes = ZtocLimits.entryBytes + name.length + linkname.length + uname.length + gname.length
  for (const [key, value] of records) bytes += ZtocLimits.entryBytes / 4 + key.length + value.length
  return bytes
}

const escapes = new Map([
  [7, "\\a"],
  [8, "\\b"],
  [9, "\\t"],
  [10, "\\n"],
  [11, "\\v"],
  [12, "\\f"],
  [13, "\\r"],
  [39, "\\'"],
  [92, "\\\\"]
])

/** A type flag as the reference quotes it. */
const quoted = (flag: number): string => {
  const hex = flag.toString(16)
  const unprintable = flag < 0x80 ? `\\x${hex.padStart(2, "0")}` : `\\u${hex.padStart(4, "0")}`
  const printable = (flag >= 0x20 && flag < 0x7f) || (flag > 0xa0 && flag !== 0xad)
  return `'${escapes.get(flag) ?? (printable ? String.fromCharCode(flag) : unprintable)}'`
}

/**
 * Holds the tar headers of a layer against the entries of its ztoc (ztoc spec, 9.2). Together with the span digests this ties a ztoc,
 * which nobody signs, to its layer.
 *
 * Compared are what a reader of files sees. Where the reference refuses what it builds itself, this agrees with the ztoc: owners are
 * compared as the 32 bits that are stored, file type bits in a mode do not count, and a time that cannot be written in a ztoc is
 * the empty text that stands for it.
 */
import { Result } from "effect"
import { TarHeaderMismatch } from "../services/ZtocReader.ts"
import type { ByteString, TocEntry } from "../services/Ztoc.ts"
import { formatModTime } from "./codec/pax.ts"
import { type TarEntry, TarReader } from "./codec/tar.ts"
import type { PlacedEntry } from "./codec/ztoc.ts"
import { parseInstant } from "./instant.ts"

/** Headers of one entry: room for a few PAX and long-name bodies of 1 MiB and a sparse map. */
export const maxHeaderBytes = 16 * 1024 * 1024

/** Bytes of a ztoc or tar as people read them. */
export const readable = (text: ByteString): string => Buffer.from(text, "latin1").toString()

const permissionBits = 0o7777n
const withoutKind = new Set(["dir", "symlink", "char", "block", "fifo"])
const kindOf = (type: string | undefined): string => (type !== undefined && withoutKind.has(type) ? type : "file")

const xattrPrefix = "SCHILY.xattr."
const xattrsOf = (records: Iterable<readonly [string, string]>): string =>
  JSON.stringify(
    [...records]
      .filter(([key]) => key.startsWith(xattrPrefix))
      .toSorted(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0))
  )

type Difference = readonly [field: string, expected: string, actual: string]

const differenceOf = (entry: TocEntry, header: TarEntry): Difference | undefined => {
  const written = formatModTime(header.mtime)
  const mtime = written === "" || entry.modTime === written ? entry.modTime : formatModTime(parseInstant(entry.modTime))
  const compared: ReadonlyArray<Difference> = [
    ["size", String(entry.size), String(header.size)],
    ["mtime", mtime, written],
    ["linkname", readable(entry.linkname), readable(header.linkname)],
    ["mode", (entry.mode & permissionBits).toString(8), (header.mode & permissionBits).toString(8)],
    ["type", kindOf(entry.type), kindOf(header.type)],
    ["uid", String(entry.uid), String(header.uid)],
    ["gid", String(entry.gid), String(header.gid)],
    ["devmajor", String(entry.devmajor), String(header.devmajor)],
    ["devminor", String(entry.devminor), String(header.devminor)],
    ["xattrs", xattrsOf(entry.pax), xattrsOf(header.records)]
  ]
  const different = compared.find(([, expected, actual]) => expected !== actual)
  if (different !== undefined || entry.linkname === header.linkname) return different
  return ["linkname", JSON.stringify(entry.linkname), JSON.stringify(header.linkname)]
}

/** Enough of a hostile text to know it by. */
const cut = (text: string): string => (text.length > 256 ? `${text.slice(0, 256)}…` : text)

export const mismatch = (
  { entry, headerOffset }: PlacedEntry,
  kind: TarHeaderMismatch["kind"],
  [field, expected, actual]: Difference
): TarHeaderMismatch =>
  new TarHeaderMismatch({
    kind,
    entry: cut(readable(entry.name)),
    offset: headerOffset,
    length: entry.offset - headerOffset,
    field,
    expected: cut(expected),
    actual: cut(actual)
  })

/** Whether an entry's headers can be read at all; before any memory is given to them. */
export const checkHeaderLength = (placed: PlacedEntry): Result.Result<number, TarHeaderMismatch> => {
  const length = placed.entry.offset - placed.headerOffset
  return length <= maxHeaderBytes
    ? Result.succeed(length)
    : Result.fail(mismatch(placed, "length", ["length", `at most ${maxHeaderBytes}`, String(length)]))
}

/** `bytes` are those between the data of the entry before and the data of this one. */
export const checkTarHeader = (placed: PlacedEntry, bytes: Uint8Array): Result.Result<void, TarHeaderMismatch> => {
  let header: TarEntry | undefined
  const reader = new TarReader({ onEntry: (entry) => (header ??= entry) })
  const error = reader.push(bytes) ?? (header === undefined ? reader.end() : undefined)
  if (header === undefined) {
    const unreadable = ["header", "a tar header", error?.message ?? "EOF"] as const
    return Result.fail(mismatch(placed, "unreadable", unreadable))
  }
  if (header.offset !== bytes.length) {
    const lengths = ["length", String(bytes.length), String(header.offset)] as const
    return Result.fail(mismatch(placed, "length", lengths))
  }
  const difference = differenceOf(placed.entry, header)
  if (difference !== undefined) return Result.fail(mismatch(placed, "attributes", difference))
  if (placed.entry.name === header.name) return Result.void
  const names = ["name", JSON.stringify(readable(placed.entry.name)), JSON.stringify(readable(header.name))] as const
  return Result.fail(mismatch(placed, "name", names))
}

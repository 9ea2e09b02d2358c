/**
 * Where the files of a layout lie in an uncompressed tar archive: found once, by its headers alone (oci-layout-store, section 9).
 *
 * Names are cleaned; of equal names the last counts; what is known of an entry by an extended header, such as a size over 8 GiB, is kept.
 * Only names of a layout are remembered, and no more of them than `maxEntries`.
 */
import { Effect } from "effect"
import type { FileHandle } from "node:fs/promises"
import * as path from "node:path"
import type { ContentStoreFailed } from "../../services/ContentStore.ts"
import { ZtocLimits } from "../../services/ZtocLimits.ts"
import { parseInt64, parsePaxRecords, type PaxRecords } from "../../streams/codec/pax.ts"
import { blockSize, isZeroBlock, parseHeaderBlock, type TarHeaderBlock } from "../../streams/codec/tarHeader.ts"
import type { Attempts } from "./layoutFailure.ts"

export interface ArchiveEntry {
  readonly offset: number
  readonly size: number
  /** Links, directories, devices and sparse files are none. */
  readonly isFile: boolean
}

const maxEntries = 500_000

/** What is read at once: small files lie close together. */
const windowBytes = 64 * 1024

const wanted = /^(?:oci-layout|index\.json|blobs\/[a-z0-9]+\/[0-9a-f]{1,128})$/

const flags = (text: string): ReadonlySet<number> => new Set([...text].map((flag) => flag.charCodeAt(0)))
const fileTypes = flags("0\u00007")
const headerOnlyTypes = flags("123456")
const paxHeader = flags("x")
const longName = flags("L")
/** Global records, long link names: of no use here, but they have a body. */
const passedOver = flags("gK")

/** The name in its clean form; `undefined` for one that leads out of the archive. */
const cleanName = (name: string): string | undefined => {
  if (name.startsWith("/")) return undefined
  const clean = path.posix.normalize(name).replace(/\/$/, "")
  return clean === ".." || clean.startsWith("../") ? undefined : clean
}

const paddedSize = (size: number) => Math.ceil(size / blockSize) * blockSize

interface Special {
  readonly name?: string | undefined
  readonly records?: PaxRecords | undefined
}

/** What an entry is, by its header and the special headers in front of it; `undefined` where they contradict all sense. */
const entryOf = (header: TarHeaderBlock, { name, records }: Special) => {
  const paxSize = records?.get("size")
  const size = headerOnlyTypes.has(header.typeflag) ? 0n : paxSize === undefined ? header.size : parseInt64(paxSize)
  if (size === undefined || size < 0n || size > BigInt(Number.MAX_SAFE_INTEGER)) return undefined
  const sparse = [...(records?.keys() ?? [])].some((key) => key.startsWith("GNU.sparse."))
  const ownName = records?.get("path") || name || header.name
  return {
    name: ownName,
    size: Number(size),
    isFile: fileTypes.has(header.typeflag) && !sparse && !ownName.endsWith("/")
  }
}

export const readArchiveEntries = Effect.fnUntraced(function* (
  { root, attempt, failure }: Attempts,
  handle: FileHandle,
  limit = maxEntries
): Effect.fn.Return<ReadonlyMap<string, ArchiveEntry>, ContentStoreFailed> {
  const archiveSize = (yield* attempt("open", root, () => handle.stat())).size
  const invalid = failure("open", root, "archive/tar: invalid tar header")
  const tooShort = failure("open", root, "unexpected EOF")

  let window = { start: 0, bytes: Buffer.alloc(0) }
  /** Bytes of the archive, fewer at its end. They are valid until the next call. */
  const bytesAt = (start: number, length: number) => {
    const from = start - window.start
    if (from >= 0 && from + length <= window.bytes.length) {
      return Effect.succeed(window.bytes.subarray(from, from + length))
    }
    return attempt("open", root, async () => {
      const buffer = Buffer.allocUnsafe(Math.max(length, windowBytes))
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, start)
      window = { start, bytes: buffer.subarray(0, bytesRead) }
      return window.bytes.subarray(0, Math.min(length, bytesRead))
    })
  }

  const body = Effect.fnUntraced(function* (start: number, size: number) {
    if (size > ZtocLimits.tarHeaderBytes) return yield* failure("open", root, "archive/tar: header field too long")
    const bytes = yield* bytesAt(start, size)
    return bytes.length === size ? bytes.toString("latin1") : yield* tooShort
  })

  const entries = new Map<string, ArchiveEntry>()
  let special: Special = {}
  for (let at = 0; at < archiveSize;) {
    const block = yield* bytesAt(at, blockSize)
    if (block.length < blockSize) return yield* tooShort
    if (isZeroBlock(block)) {
      const second = yield* bytesAt(at + blockSize, blockSize)
      if (second.length === 0 || (second.length === blockSize && isZeroBlock(second))) return entries
      return yield* invalid
    }
    const header = parseHeaderBlock(block)
    const entry = header && entryOf(header, special)
    if (header === undefined || entry === undefined) return yield* invalid
    const offset = at + blockSize
    if (offset + entry.size > archiveSize) return yield* tooShort
    at = offset + paddedSize(entry.size)
    if (paxHeader.has(header.typeflag)) {
      const records = parsePaxRecords(yield* body(offset, entry.size))
      if (records === undefined) return yield* invalid
      special = { ...special, records }
      continue
    }
    if (longName.has(header.typeflag)) {
      special = { ...special, name: (yield* body(offset, entry.size)).split("\0", 1)[0] }
      continue
    }
    if (passedOver.has(header.typeflag)) continue
    special = {}
    const name = cleanName(entry.name)
    if (name === undefined || !wanted.test(name)) continue
    entries.set(name, { offset, size: entry.size, isFile: entry.isFile })
    if (entries.size > limit) return yield* failure("open", root, `it has more than ${limit} blobs`)
  }
  return entries
})

/**
 * PAX extended headers (POSIX pax, "pax Extended Header"), read by the rules of the reference's tar reader (ztoc spec, 6.3).
 *
 * Text is one character a byte throughout. `undefined` stands for a header that is not valid.
 */

export type PaxRecords = ReadonlyMap<string, string>

const sparseOffset = "GNU.sparse.offset"
const sparseBytes = "GNU.sparse.numbytes"
const sparseMap = "GNU.sparse.map"
const textKeys = new Set(["path", "linkpath", "uname", "gname"])

const int64Max = 2n ** 63n - 1n

/** A decimal int64 with an optional sign. */
export const parseInt64 = (text: string): bigint | undefined => {
  if (!/^[+-]?[0-9]+$/.test(text) || text.length > 1024) return undefined
  const value = BigInt(text.startsWith("+") ? text.slice(1) : text)
  return value > int64Max || value < -int64Max - 1n ? undefined : value
}

/** The records of a body of at most 1 MiB; a repeated key: the last wins. */
export const parsePaxRecords = (body: string): Map<string, string> | undefined => {
  const records = new Map<string, string>()
  const sparse: Array<string> = []
  for (let at = 0; at < body.length;) {
    const end = recordEnd(body, at)
    if (end === undefined) return undefined
    const record = body.slice(body.indexOf(" ", at) + 1, end - 1)
    const equals = record.indexOf("=")
    const key = record.slice(0, equals)
    const value = record.slice(equals + 1)
    if (equals <= 0 || (textKeys.has(key) ? value : key).includes("\0")) return undefined
    if (key === sparseOffset || key === sparseBytes) {
      if (key !== (sparse.length % 2 === 0 ? sparseOffset : sparseBytes) || value.includes(",")) return undefined
      sparse.push(value)
    } else {
      records.set(key, value)
    }
    at = end
  }
  if (sparse.length > 0) records.set(sparseMap, sparse.join(","))
  return records
}

/** Where the record that begins at `at` ends: its length counts all of it, the newline included. */
const recordEnd = (body: string, at: number): number | undefined => {
  const blank = body.indexOf(" ", at)
  if (blank < 0) return undefined
  const length = parseInt64(body.slice(at, blank))
  if (length === undefined || length < 5n || length > BigInt(body.length - at)) return undefined
  const end = at + Number(length)
  return end > blank + 1 && body[end - 1] === "\n" ? end : undefined
}

export interface TarTime {
  readonly seconds: bigint
  /** 0 to 999,999,999, to be added. */
  readonly nanoseconds: number
}

/** `S` or `S.F`: the fraction is cut to nanoseconds, and subtracted where S starts with a minus. */
export const parsePaxTime = (text: string): TarTime | undefined => {
  const [whole = "", fraction = ""] = splitOnce(text, ".")
  const seconds = parseInt64(whole)
  if (seconds === undefined || !/^[0-9]*$/.test(fraction)) return undefined
  const nanoseconds = Number(fraction.slice(0, 9).padEnd(9, "0"))
  if (!whole.startsWith("-") || nanoseconds === 0) return { seconds, nanoseconds }
  return { seconds: seconds - 1n, nanoseconds: 1_000_000_000 - nanoseconds }
}

const splitOnce = (text: string, separator: string): readonly [string, string?] => {
  const at = text.indexOf(separator)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}

const yearZero = -62_167_219_200n
const yearTenThousand = 253_402_300_800n

/** RFC 3339 in UTC, as stored in a ztoc; empty for years outside 0000 to 9999. */
export const formatModTime = ({ seconds, nanoseconds }: TarTime): string => {
  if (seconds < yearZero || seconds >= yearTenThousand) return ""
  const text = new Date(Number(seconds) * 1000).toISOString().slice(0, 19)
  if (nanoseconds === 0) return `${text}Z`
  return `${text}.${String(nanoseconds).padStart(9, "0").replace(/0+$/, "")}Z`
}

/**
 * RFC 3339 times as the reference reads them from a ztoc (ztoc spec, 8.2): strictly, with any offset from UTC.
 */
import type { TarTime } from "./codec/pax.ts"

const form = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(?:Z|([+-])(\d\d):(\d\d))$/

/** 0001-01-01T00:00:00Z, which stands for what is no time. */
const zeroTime: TarTime = { seconds: -62_135_596_800n, nanoseconds: 0 }

export const parseInstant = (text: string): TarTime => {
  const [, local, fraction = "", sign, hours = "0", minutes = "0"] = form.exec(text) ?? []
  if (local === undefined || Number(hours) > 23 || Number(minutes) > 59) return zeroTime
  const millis = Date.parse(`${local}Z`)
  // A day that the month does not have is read as one of the next.
  if (Number.isNaN(millis) || !new Date(millis).toISOString().startsWith(local)) return zeroTime
  const offset = (Number(hours) * 60 + Number(minutes)) * (sign === "-" ? -60 : 60)
  return { seconds: BigInt(millis / 1000 - offset), nanoseconds: Number(fraction.slice(0, 9).padEnd(9, "0")) }
}

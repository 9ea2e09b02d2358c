/**
 * The modification time of a ztoc entry, as seconds and nanoseconds.
 */

const form = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:Z|([+-])(\d\d):(\d\d))$/
const monthDays = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
/** 2^63 - 1 nanoseconds after the epoch; containerd sets no later time. */
const latest = 9_223_372_036

export interface ModTime {
  readonly seconds: number
  readonly nanoseconds: number
}

const epoch: ModTime = { seconds: 0, nanoseconds: 0 }

const isLeap = (year: number) => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)

/**
 * Reads RFC 3339 text with any offset. What is empty or no date becomes the epoch, and so do times before it or
 * after the year 2262, which containerd's unpacker does not set.
 */
export const parseModTime = (text: string): ModTime => {
  const match = form.exec(text)
  if (match === null) return epoch
  const [, year = "", month = "", day = "", hour = "", minute = "", second = "", fraction = ""] = match
  const [sign, offsetHour, offsetMinute] = [match[8], Number(match[9] ?? 0), Number(match[10] ?? 0)]
  const days = (monthDays[Number(month) - 1] ?? 0) + (month === "02" && isLeap(Number(year)) ? 1 : 0)
  if (Number(day) < 1 || Number(day) > days) return epoch
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return epoch
  if (offsetHour > 23 || offsetMinute > 59) return epoch
  const date = new Date(0)
  // Unlike Date.UTC, this takes the years 0 to 99 at their word.
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day))
  date.setUTCHours(Number(hour), Number(minute), Number(second))
  const offset = (offsetHour * 3600 + offsetMinute * 60) * (sign === "-" ? -1 : 1)
  const seconds = date.getTime() / 1000 - offset
  if (seconds < 0 || seconds >= latest) return epoch
  return { seconds, nanoseconds: Number(fraction.slice(0, 9).padEnd(9, "0")) }
}

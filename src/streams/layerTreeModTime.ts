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

/** Days from the epoch to a day of the Gregorian calendar, with years that begin in March (so that leap days come last). */
const daysSinceEpoch = (year: number, month: number, day: number): number => {
  const marchYear = month > 2 ? year : year - 1
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  const leapDays = Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400)
  return marchYear * 365 + leapDays + dayOfYear - 719_468
}

/**
 * Reads RFC 3339 text with any offset. What is empty or no date becomes the epoch, and so do times before it or
 * after the year 2262, which containerd's unpacker does not set.
 */
export const parseModTime = (text: string): ModTime => {
  const match = form.exec(text)
  if (match === null) return epoch
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])]
  const [hour, minute, second] = [Number(match[4]), Number(match[5]), Number(match[6])]
  const [offsetHour, offsetMinute] = [Number(match[9] ?? 0), Number(match[10] ?? 0)]
  const days = (monthDays[month - 1] ?? 0) + (month === 2 && isLeap(year) ? 1 : 0)
  if (day < 1 || day > days || hour > 23 || minute > 59 || second > 59) return epoch
  if (offsetHour > 23 || offsetMinute > 59) return epoch
  const offset = (offsetHour * 60 + offsetMinute) * (match[8] === "-" ? -60 : 60)
  const seconds = daysSinceEpoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset
  if (seconds < 0 || seconds >= latest) return epoch
  return { seconds, nanoseconds: match[7] === undefined ? 0 : Number(match[7].slice(0, 9).padEnd(9, "0")) }
}

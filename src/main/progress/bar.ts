/**
 * One line that tells how far a transfer is: name, bar, share, bytes, rate and the time that is left.
 */

/** A job with bytes to get through. Times are those of the clock that draws it. */
export interface Bar {
  readonly label: string
  readonly doneBytes: number
  readonly totalBytes: number
  readonly startedMillis: number
}

/** Bytes as people read them, in decimal units. */
export const formatBytes = (bytes: number): string => {
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`
}

const two = (value: number): string => String(value).padStart(2, "0")

/** Minutes and seconds; hours where there are any. */
const formatRemaining = (seconds: number): string => {
  const whole = Math.ceil(seconds)
  const minutes = Math.floor(whole / 60)
  return minutes < 60
    ? `${minutes}:${two(whole % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`
}

/** A rate says nothing before this: the first bytes come out of buffers. */
const settledMillis = 500

const rateOf = ({ doneBytes, totalBytes, startedMillis }: Bar, nowMillis: number): string => {
  const elapsed = nowMillis - startedMillis
  if (elapsed < settledMillis || doneBytes === 0) return ""
  const bytesPerSecond = (doneBytes * 1000) / elapsed
  return `  ${formatBytes(bytesPerSecond)}/s  ${formatRemaining((totalBytes - doneBytes) / bytesPerSecond)}`
}

const labelWidth = 26
const widestBar = 30
const narrowestBar = 5

/** The line, never longer than `width`: what does not fit is left out, the bar first. */
export const renderBar = (bar: Bar, nowMillis: number, width: number): string => {
  const doneBytes = Math.min(bar.doneBytes, bar.totalBytes)
  const share = bar.totalBytes === 0 ? 1 : doneBytes / bar.totalBytes
  const label = bar.label.slice(0, labelWidth).padEnd(labelWidth)
  const numbers =
    `${String(Math.floor(share * 100)).padStart(3)}%  ${formatBytes(doneBytes)}/${formatBytes(bar.totalBytes)}` +
    rateOf({ ...bar, doneBytes }, nowMillis)
  const room = Math.min(widestBar, width - labelWidth - numbers.length - 4)
  const filled = Math.round(share * room)
  const drawn = room < narrowestBar ? " " : ` [${"=".repeat(filled)}${" ".repeat(room - filled)}] `
  return `${label}${drawn}${numbers}`.slice(0, width)
}

/**
 * How long ago something was, in whole seconds as Go writes durations (cli spec, 9.1).
 */

/** Go's zero time, 0001-01-01T00:00:00Z: nobody knows when it was. */
const zeroTimeMillis = -62_135_596_800_000

export const formatAge = (createdAt: Date, nowMillis: number): string => {
  if (createdAt.getTime() <= zeroTimeMillis) return "n/a"
  const seconds = Math.round((nowMillis - createdAt.getTime()) / 1000)
  const sign = seconds < 0 ? "-" : ""
  const whole = Math.abs(seconds)
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60]
  const shown = [
    ...(hours > 0 ? [`${hours}h`] : []),
    ...(hours > 0 || minutes > 0 ? [`${minutes}m`] : []),
    `${whole % 60}s`
  ]
  return `${sign}${shown.join("")} ago`
}

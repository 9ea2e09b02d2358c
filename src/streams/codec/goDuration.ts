/**
 * Durations as Go's time package writes and reads them: `10s`, `1m30s`, `-1.5h`, `0`. The unit is the nanosecond.
 */
import { Result } from "effect"

const nanosecondsOf: ReadonlyMap<string, bigint> = new Map([
  ["ns", 1n],
  ["us", 1_000n],
  ["\u00b5s", 1_000n],
  ["\u03bcs", 1_000n],
  ["ms", 1_000_000n],
  ["s", 1_000_000_000n],
  ["m", 60_000_000_000n],
  ["h", 3_600_000_000_000n]
])

const part = /(?<whole>[0-9]*)(?:(?<point>\.)(?<fraction>[0-9]*))?(?<unit>[^0-9.]*)/y

/** Digits behind the point that are below a nanosecond in every unit are cut off. */
const nanosecondsOfPart = (whole: string, fraction: string, unit: bigint): bigint => {
  const digits = fraction.slice(0, 18)
  return BigInt(whole || "0") * unit + (BigInt(digits || "0") * unit) / 10n ** BigInt(digits.length)
}

const invalid = (text: string) => Result.fail(`time: invalid duration ${JSON.stringify(text)}`)

/** In nanoseconds; fails with the text that Go has for it. */
export const parseGoDuration = (text: string): Result.Result<bigint, string> => {
  const [, sign = "", rest = ""] = /^([+-]?)(.*)$/s.exec(text) ?? []
  if (rest === "0") return Result.succeed(0n)
  if (rest === "") return invalid(text)
  let total = 0n
  for (let at = 0; at < rest.length; at = part.lastIndex) {
    part.lastIndex = at
    const { whole = "", fraction = "", unit = "" } = part.exec(rest)?.groups ?? {}
    if (whole === "" && fraction === "") return invalid(text)
    const nanoseconds = nanosecondsOf.get(unit)
    if (unit === "") return Result.fail(`time: missing unit in duration ${JSON.stringify(text)}`)
    if (nanoseconds === undefined) {
      return Result.fail(`time: unknown unit ${JSON.stringify(unit)} in duration ${JSON.stringify(text)}`)
    }
    total += nanosecondsOfPart(whole, fraction, nanoseconds)
  }
  const value = sign === "-" ? -total : total
  return BigInt.asIntN(64, value) === value ? Result.succeed(value) : invalid(text)
}

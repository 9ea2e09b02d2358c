/**
 * Integers of 64 bits as Go's strconv reads them with base 0: decimal, 0x, 0o or 0, 0b, with underscores between digits.
 */
import { Result } from "effect"

const bases: Readonly<Record<string, { readonly prefix: string; readonly digits: RegExp }>> = {
  x: { prefix: "0x", digits: /^_?[0-9a-f]+(?:_[0-9a-f]+)*$/ },
  o: { prefix: "0o", digits: /^_?[0-7]+(?:_[0-7]+)*$/ },
  b: { prefix: "0b", digits: /^_?[01]+(?:_[01]+)*$/ }
}

const magnitude = (text: string): bigint | undefined => {
  const lower = text.toLowerCase()
  const base = lower[0] === "0" ? bases[lower[1] ?? ""] : undefined
  if (base !== undefined) {
    const digits = lower.slice(2)
    return base.digits.test(digits) ? BigInt(base.prefix + digits.replaceAll("_", "")) : undefined
  }
  if (/^0_?[0-7]+(?:_[0-7]+)*$/.test(text)) return BigInt(`0o${text.slice(1).replaceAll("_", "")}`)
  return /^(?:0|[1-9][0-9]*(?:_[0-9]+)*)$/.test(text) ? BigInt(text.replaceAll("_", "")) : undefined
}

const failure = (operation: string, text: string, reason: string) =>
  Result.fail(`strconv.${operation}: parsing ${JSON.stringify(text)}: ${reason}`)

/** A signed integer; fails with the text that Go has for it. */
export const parseGoInteger = (text: string): Result.Result<bigint, string> => {
  const [, sign = "", digits = ""] = /^([+-]?)(.*)$/s.exec(text) ?? []
  const absolute = magnitude(digits)
  if (absolute === undefined) return failure("ParseInt", text, "invalid syntax")
  const value = sign === "-" ? -absolute : absolute
  return BigInt.asIntN(64, value) === value ? Result.succeed(value) : failure("ParseInt", text, "value out of range")
}

/** An unsigned integer: no sign at all, as in Go. */
export const parseGoUnsigned = (text: string): Result.Result<bigint, string> => {
  const value = magnitude(text)
  if (value === undefined) return failure("ParseUint", text, "invalid syntax")
  return BigInt.asUintN(64, value) === value ? Result.succeed(value) : failure("ParseUint", text, "value out of range")
}

/**
 * Log lines as the reference writes them, on standard error: `time="…" level=warning msg="…" key="…"`.
 */
import { Cause, type LogLevel, Logger, References } from "effect"

const levels: Readonly<Record<LogLevel.LogLevel, string>> = {
  All: "trace",
  Trace: "trace",
  Debug: "debug",
  Info: "info",
  Warn: "warning",
  Error: "error",
  Fatal: "fatal",
  None: "panic"
}

const textOf = (value: unknown): string => {
  if (typeof value === "string") return value
  if (value instanceof Error) return value.message
  return Cause.isCause(value) ? Cause.pretty(value) : JSON.stringify(value)
}

/** To the second, as the reference has it. */
const timeText = (date: Date): string => date.toISOString().replace(/\.[0-9]+Z$/, "Z")

export const logLine = (entry: {
  readonly date: Date
  readonly level: LogLevel.LogLevel
  readonly message: unknown
  readonly cause: Cause.Cause<unknown>
  readonly annotations: Readonly<Record<string, unknown>>
}): string => {
  const messages = Array.isArray(entry.message) ? entry.message : [entry.message]
  const fields = Object.entries(entry.annotations).map(([key, value]) => ` ${key}=${JSON.stringify(textOf(value))}`)
  const cause = entry.cause.reasons.length === 0 ? "" : ` error=${JSON.stringify(Cause.pretty(entry.cause))}`
  const text = JSON.stringify(messages.map(textOf).join(" "))
  return `time="${timeText(entry.date)}" level=${levels[entry.level]} msg=${text}${fields.join("")}${cause}`
}

export const logger: Logger.Logger<unknown, void> = Logger.make(({ cause, date, fiber, logLevel, message }) => {
  const annotations = fiber.getRef(References.CurrentLogAnnotations)
  process.stderr.write(`${logLine({ date, level: logLevel, message, cause, annotations })}\n`)
})

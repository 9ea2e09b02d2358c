/**
 * When requests are repeated: exponential waits with full jitter, a server's Retry-After heard but capped.
 */
import { Effect, Random } from "effect"
import { type Exchange, readBody, shownUrl } from "./exchange.ts"
import { ExchangeFailed, isExchangeFailed } from "./exchangeFailed.ts"
import type { RegistrySettings } from "./registryOptions.ts"

/** Statuses of servers that are overloaded, restarting or behind a proxy that lost them. */
const isTransient = (status: number): boolean =>
  status === 408 || status === 429 || (status >= 500 && status !== 501 && status <= 599)

/** Seconds or a date (RFC 9110, 10.2.3), in milliseconds from now; a date in the past means now, nonsense nothing. */
export const parseRetryAfter = (value: string | undefined, nowMillis: number): number | undefined => {
  if (value === undefined) return undefined
  const text = value.trim()
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  // Date.parse would take almost any number for a year.
  const millis = /^[A-Z][a-z]+, /.test(text) ? Date.parse(text) - nowMillis : Number.NaN
  return Number.isNaN(millis) ? undefined : Math.max(0, millis)
}

/**
 * Waits before repetition number `repetition`, counted from 0: what the server asked for, up to the longest wait, and a
 * tenth more at random, so that its clients do not come back together; else a random time.
 */
export const pause = (
  { retryMinDelayMillis, retryMaxDelayMillis }: RegistrySettings,
  repetition: number,
  failure: ExchangeFailed
): Effect.Effect<void> =>
  Effect.flatMap(Random.next, (random) => {
    const { retryAfterMillis } = failure
    return Effect.sleep(
      retryAfterMillis === undefined
        ? random * Math.min(retryMaxDelayMillis, retryMinDelayMillis * 2 ** repetition)
        : (1 + random / 10) * Math.min(retryMaxDelayMillis, retryAfterMillis)
    )
  })

/** Repeats an effect that failed in passing. */
export const retrying =
  (settings: RegistrySettings) =>
  <A, E, R>(effect: Effect.Effect<A, E | ExchangeFailed, R>): Effect.Effect<A, E | ExchangeFailed, R> => {
    const attempt = (repetition: number): Effect.Effect<A, E | ExchangeFailed, R> =>
      Effect.catchIf(effect, isExchangeFailed, (error) =>
        error.transient && repetition < settings.retries
          ? Effect.andThen(pause(settings, repetition, error), attempt(repetition + 1))
          : Effect.fail(error)
      )
    return attempt(0)
  }

/** Turns an answer that says "later" into a failure that is repeated. */
export const failIfTransient = Effect.fnUntraced(function* (exchange: Exchange) {
  if (!isTransient(exchange.status)) return exchange
  const retryAfterMillis = parseRetryAfter(exchange.headers["retry-after"], Date.now())
  const reason = yield* describeStatus(exchange)
  return yield* new ExchangeFailed({
    reason,
    transient: true,
    status: exchange.status,
    ...(retryAfterMillis === undefined ? {} : { retryAfterMillis })
  })
})

const errorBodyBytes = 16 * 1024

/** A status in words, with what the registry says about it (distribution-spec, "Error Codes"). */
export const describeStatus = Effect.fnUntraced(function* (exchange: Exchange) {
  const before = exchange.before === undefined ? "" : ` (before: ${exchange.before})`
  const status = `${shownUrl(exchange.url)} answered with status ${exchange.status}${before}`
  if (exchange.status < 400) return status
  const bytes = yield* Effect.orElseSucceed(readBody(exchange, errorBodyBytes), () => new Uint8Array(0))
  const detail = errorDetail(bytes, exchange.conceal)
  return detail === "" ? status : `${status}: ${detail}`
})

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

const errorDetail = (bytes: Uint8Array, conceal: (text: string) => string): string => {
  try {
    const parsed: unknown = JSON.parse(new TextDecoder().decode(bytes))
    if (!isObject(parsed) || !("errors" in parsed) || !Array.isArray(parsed.errors)) return ""
    const first: unknown = parsed.errors[0]
    if (!isObject(first)) return ""
    const parts = ["code" in first ? first.code : "", "message" in first ? first.message : ""]
    // What a server says is shown on terminals and in logs: one line, and not for ever.
    const text = parts.filter((part) => typeof part === "string" && part !== "").join(": ")
    return conceal(text)
      .replaceAll(/\p{Cc}/gu, " ")
      .slice(0, 200)
  } catch {
    return ""
  }
}

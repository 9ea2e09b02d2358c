/**
 * What goes over the wire, for those who want to see it: URLs without what they may hold of secrets, headers without
 * credentials.
 */
import type { Effect } from "effect"
import { STATUS_CODES } from "node:http"

type Headers = Readonly<Record<string, string | undefined>>

export type ExchangeEvent =
  | { readonly _tag: "Request"; readonly method: string; readonly url: string; readonly headers: Headers }
  | {
      readonly _tag: "Response"
      readonly method: string
      readonly url: string
      readonly status: number
      readonly headers: Headers
    }
  | { readonly _tag: "Failure"; readonly method: string; readonly url: string; readonly reason: string }

export type OnExchange = (event: ExchangeEvent) => Effect.Effect<void>

/** Parameters of the distribution specification; values of others may be signatures and tokens. */
const harmless: ReadonlyArray<string> = [
  "artifactType",
  "digest",
  "mount",
  "from",
  "n",
  "last",
  "ns",
  "service",
  "scope"
]

export const isHarmless = (parameter: string): boolean => harmless.includes(parameter)

export const redactUrl = (text: string): string => {
  const url = URL.parse(text)
  if (url === null) return "redacted"
  const names = [...url.searchParams.keys()].filter((name) => !isHarmless(name))
  for (const name of names) url.searchParams.set(name, "redacted")
  url.username = ""
  url.password = ""
  url.hash = ""
  return url.href
}

const secret: ReadonlyArray<string> = ["authorization", "proxy-authorization", "cookie", "set-cookie"]

const redactLocation = (value: string): string =>
  URL.canParse(value) ? redactUrl(value) : value.replace(/[?#].*$/s, "?redacted")

/** `conceal` takes out what else must not be shown. */
export const redactHeaders = (headers: Headers, conceal = (text: string): string => text): Headers =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => {
      if (value === undefined) return [name, value]
      if (name.toLowerCase() === "location") return [name, redactLocation(value)]
      return [name, secret.includes(name.toLowerCase()) ? "redacted" : conceal(value)]
    })
  )

/** One event as lines of text: what was asked and what came, with headers if they are wanted. */
export const formatExchange = (event: ExchangeEvent, withHeaders: boolean): ReadonlyArray<string> => {
  const lines = (headers: Headers) =>
    withHeaders
      ? Object.entries(headers).flatMap(([name, value]) => (value === undefined ? [] : [`  ${name}: ${value}`]))
      : []
  switch (event._tag) {
    case "Request":
      return [`http req ${event.method} ${event.url}`, ...lines(event.headers)]
    case "Response":
      return [`http res ${`${event.status} ${STATUS_CODES[event.status] ?? ""}`.trim()}`, ...lines(event.headers)]
    case "Failure":
      return [`http err ${event.reason}`]
  }
}

/**
 * Keeps what a request held of secrets out of what its server says: servers repeat what they were sent, in messages
 * that end in logs.
 */
import { isHarmless } from "./exchangeLog.ts"

interface Sent {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly bytes?: Uint8Array
}

/** Shorter texts stand in any message, by chance. */
const minSecretLength = 3

const ofQuery = (query: URLSearchParams): ReadonlyArray<string> =>
  [...query].flatMap(([name, value]) => (isHarmless(name) ? [] : [value, encodeURIComponent(value)]))

const ofAuthorization = (header: string): ReadonlyArray<string> => {
  const [, scheme = "", credential = ""] = /^(\S+)\s+(.*)$/.exec(header) ?? []
  if (scheme.toLowerCase() !== "basic") return [credential]
  const text = Buffer.from(credential, "base64").toString("utf8")
  return [credential, text.slice(text.indexOf(":") + 1)]
}

/** Forms are sent to token servers only. */
const ofForm = (bytes: Uint8Array, type: string | undefined): ReadonlyArray<string> =>
  type === "application/x-www-form-urlencoded" ? ofQuery(new URLSearchParams(new TextDecoder().decode(bytes))) : []

/** A function that replaces the secrets of a request in a text. */
export const concealing = ({ url, headers, bytes }: Sent): ((text: string) => string) => {
  const secrets = [
    ...ofQuery(new URL(url).searchParams),
    ...ofAuthorization(headers["authorization"] ?? ""),
    ...(bytes === undefined ? [] : ofForm(bytes, headers["content-type"]))
  ].filter(({ length }) => length >= minSecretLength)
  return (text) => secrets.reduce((shown, secret) => shown.replaceAll(secret, "redacted"), text)
}

/**
 * An upload that a registry opened, and where its next request goes (distribution-spec, "Pushing blobs").
 */
import { Effect } from "effect"
import type { FoundEndpoint, RegistryExchange } from "./endpointClient.ts"
import type { RegistryClient, RegistryRequest } from "./registryClient.ts"
import { type Purpose, registryFailed, unexpectedAnswer } from "./registryErrors.ts"

export interface UploadSession {
  readonly endpoint: FoundEndpoint
  readonly url: string
  /** The registry takes no smaller parts than these; 0 where it does not say. */
  readonly minPartBytes: number
}

export const uploadRequest = (
  { repository }: Purpose,
  method: RegistryRequest["method"]
): Omit<RegistryRequest, "path"> => ({ method, ...repository, capability: "push", actions: "pull,push" })

/** Where an upload goes on: below the registry or elsewhere, but not without TLS where the registry has it. */
export const nextUrl = (exchange: RegistryExchange): string | undefined => {
  const url = URL.parse(exchange.headers["location"] ?? "", exchange.url)
  if (url === null || !["http:", "https:"].includes(url.protocol)) return undefined
  return url.protocol === "https:" || exchange.url.startsWith("http:") ? url.href : undefined
}

/** The URL that completes an upload. Whatever its query holds must stay as it is. */
export const completionUrl = (location: string, digest: string): string => {
  const url = new URL(location)
  const query = url.search === "" ? "?" : `${url.search}&`
  return `${url.origin}${url.pathname}${query}digest=${encodeURIComponent(digest)}`
}

const minPartOf = ({ headers }: RegistryExchange): number => {
  const value = headers["oci-chunk-min-length"] ?? ""
  return /^\d{1,15}$/.test(value) ? Number(value) : 0
}

const post = (client: RegistryClient, purpose: Purpose, query: string, alsoPull: ReadonlyArray<string>) =>
  client.request({
    ...uploadRequest(purpose, "POST"),
    path: `blobs/uploads/${query}`,
    headers: { "content-length": "0" },
    alsoPull
  })

const sessionOf = (purpose: Purpose, exchange: RegistryExchange) => {
  const url = nextUrl(exchange)
  return url === undefined
    ? Effect.fail(registryFailed(purpose, "the registry gave no safe location to upload to"))
    : Effect.succeed({ endpoint: exchange.endpoint, url, minPartBytes: minPartOf(exchange) } satisfies UploadSession)
}

export const beginUpload = Effect.fnUntraced(function* (client: RegistryClient, purpose: Purpose) {
  const exchange = yield* post(client, purpose, "", [])
  if (exchange.status !== 202) return yield* unexpectedAnswer(purpose, exchange)
  return yield* sessionOf(purpose, exchange)
}, Effect.scoped)

/**
 * Asks the registry to take a blob from another of its repositories. One that cannot opens an upload instead, or
 * refuses: then there is nothing to go on with.
 */
export const mountBlob = Effect.fnUntraced(function* (client: RegistryClient, purpose: Purpose, from: string) {
  const query = `?mount=${encodeURIComponent(purpose.reference)}&from=${encodeURIComponent(from)}`
  const exchange = yield* post(client, purpose, query, [from])
  if (exchange.status === 201) return "mounted" as const
  return exchange.status === 202 ? yield* sessionOf(purpose, exchange) : undefined
}, Effect.scoped)

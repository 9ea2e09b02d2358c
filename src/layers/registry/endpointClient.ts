/**
 * Requests to one server of a registry: authorized and redirected. A credential goes to the server it is for and to no
 * other origin, whatever redirects and locations say; so do the headers of its configuration.
 */
import { Effect, Redacted, type Scope, Stream } from "effect"
import type { Audience, Authorization } from "./authorization.ts"
import { type Challenge, parseChallenge } from "./challenge.ts"
import { drain, type Exchange, type ExchangeRequest, readBody, type Send, shownUrl } from "./exchange.ts"
import { ExchangeFailed } from "./exchangeFailed.ts"
import { hold } from "./hold.ts"
import type { PlainDetection } from "./plainDetection.ts"
import { foreignTls, type RegistryEndpoint, serverOf } from "./registryEndpoint.ts"
import type { RegistryRequest } from "./registryClient.ts"
import { failIfTransient } from "./retryPolicy.ts"

/** A server, and the scheme it turned out to speak. */
export interface FoundEndpoint extends RegistryEndpoint {
  readonly origin: string
}

export interface RegistryExchange extends Exchange {
  readonly endpoint: FoundEndpoint
  /** Nobody else can be asked. */
  readonly isLast: boolean
}

export interface EndpointClient {
  readonly find: (endpoint: RegistryEndpoint) => Effect.Effect<FoundEndpoint, ExchangeFailed>
  /** `url` in place of the one that follows from the request. */
  readonly ask: (
    endpoint: RegistryEndpoint,
    request: RegistryRequest,
    url?: string
  ) => Effect.Effect<RegistryExchange, ExchangeFailed, Scope.Scope>
  /** A request to a URL that the server redirected to; no credential goes along. */
  readonly askUrl: (
    endpoint: FoundEndpoint,
    request: ExchangeRequest
  ) => Effect.Effect<Exchange, ExchangeFailed, Scope.Scope>
}

const maxRedirects = 10
const redirects: ReadonlyArray<number> = [301, 302, 303, 307, 308]

export const isRedirect = (status: number): boolean => redirects.includes(status)

const maxRefusalBytes = 16 * 1024

interface Refusal {
  readonly exchange: Exchange
  readonly text: string
}

/** The answer with its body in memory, so that its connection can be given back. */
const detached = (exchange: Exchange): Effect.Effect<Refusal> =>
  readBody(exchange, maxRefusalBytes).pipe(
    Effect.orElseSucceed(() => new Uint8Array(0)),
    Effect.map((bytes) => ({
      exchange: { ...exchange, body: Stream.make(bytes) },
      text: new TextDecoder().decode(bytes)
    }))
  )

/** Amazon's registry tells of an expired token by 403 and these words. */
const expiredWords = "Your authorization token has expired"

/** What a refusal asks for; `undefined`: nothing that could be given. */
const challengeOf = ({ exchange, text }: Refusal): Challenge | undefined => {
  const challenge = parseChallenge(exchange.headers["www-authenticate"])
  if (exchange.status === 401) return challenge
  return text.includes(expiredWords) ? (challenge ?? { scheme: "basic" }) : undefined
}

const isRefusal = (status: number): boolean => status === 401 || status === 403

/** Servers of another name are told which host is meant (containerd, docs/hosts.md, "registry host namespace"). */
const urlOf = (endpoint: FoundEndpoint, { method, host, repository, path }: RegistryRequest): string => {
  const url = `${endpoint.origin}${endpoint.apiPath}/${repository}/${path}`
  const isNamed = [host, serverOf(host)].includes(endpoint.authority)
  if (isNamed || (method !== "GET" && method !== "HEAD")) return url
  return `${url}${url.includes("?") ? "&" : "?"}ns=${encodeURIComponent(host)}`
}

const locationOf = (exchange: Exchange, endpoint: FoundEndpoint): Effect.Effect<string, ExchangeFailed> => {
  const url = URL.parse(exchange.headers["location"] ?? "", exchange.url)
  const plainAllowed = endpoint.origin.startsWith("http:")
  const allowed = url?.protocol === "https:" || (url?.protocol === "http:" && plainAllowed)
  return url !== null && allowed
    ? Effect.succeed(url.href)
    : Effect.fail(
        new ExchangeFailed({
          reason: `${shownUrl(exchange.url)} redirects to ${url ? shownUrl(url.href) : "nowhere"}, which is not safe`,
          transient: false
        })
      )
}

export const makeEndpointClient = (
  send: Send,
  authorization: Authorization,
  detection: PlainDetection
): EndpointClient => {
  const find: EndpointClient["find"] = (endpoint) =>
    Effect.map(detection.schemeOf(endpoint), (scheme) => ({
      ...endpoint,
      origin: new URL(`${scheme}://${endpoint.authority}`).origin
    }))

  /** Follows redirects; `own` are headers for the server itself. */
  const follow = Effect.fnUntraced(function* (
    endpoint: FoundEndpoint,
    request: ExchangeRequest,
    own: Readonly<Record<string, string>>
  ) {
    const { tls, timeoutMillis } = endpoint
    let url = request.url
    for (let hops = 0; hops <= maxRedirects; hops++) {
      const isOwn = URL.parse(url)?.origin === endpoint.origin
      const asked = isOwn
        ? { ...request, url, tls, timeoutMillis, headers: { ...endpoint.headers, ...request.headers, ...own } }
        : { ...request, url, tls: foreignTls(tls) }
      const { value, release } = yield* hold(Effect.flatMap(send(asked), failIfTransient))
      if (!isRedirect(value.status) || request.method !== "GET") return value
      const location = yield* locationOf(value, endpoint)
      yield* drain(value)
      yield* release
      url = location
    }
    return yield* new ExchangeFailed({ reason: `${shownUrl(request.url)} redirects without end`, transient: false })
  })

  const authorized = Effect.fnUntraced(function* (endpoint: FoundEndpoint, request: RegistryRequest, url: string) {
    const { host, repository, actions, method, bytes, upload, headers = {}, alsoPull = [] } = request
    const body = { ...(bytes === undefined ? {} : { bytes }), ...(upload === undefined ? {} : { upload }) }
    const { origin, authority, isMirror, tls } = endpoint
    const audience: Audience = { origin, host: authority, isMirror, tls, reference: { host, repository } }
    const scopes = [`repository:${repository}:${actions}`, ...alsoPull.map((name) => `repository:${name}:pull`)]
    const scope = scopes.join(" ")
    const once = (header: Redacted.Redacted | undefined) =>
      hold(
        follow(
          endpoint,
          { method, url, headers, ...body },
          header === undefined ? {} : { authorization: Redacted.value(header) }
        )
      )
    const sent = yield* authorization.header(audience, scope)
    const first = yield* once(sent)
    const { status } = first.value
    if (!isRefusal(status) || URL.parse(first.value.url)?.origin !== origin) return first.value
    const refusal = yield* detached(first.value)
    // The token may come from the same host: its request must find a place.
    yield* first.release
    const challenge = challengeOf(refusal)
    const answer = challenge && (yield* authorization.answer(audience, scope, challenge, sent))
    return answer === undefined ? refusal.exchange : (yield* once(answer)).value
  })

  return {
    find,
    ask: (endpoint, request, url) =>
      Effect.flatMap(find(endpoint), (found) =>
        hold(authorized(found, request, url ?? urlOf(found, request))).pipe(
          Effect.map(({ value }) => ({ ...value, endpoint: found, isLast: true })),
          // Another server may listen there by now.
          Effect.tapError(({ status }) => (status === undefined ? detection.forget(endpoint) : Effect.void))
        )
      ),
    askUrl: (endpoint, request) => Effect.map(hold(follow(endpoint, request, {})), ({ value }) => value)
  }
}

/**
 * Requests to registries: to their mirrors in order, then to the registry itself. The last server's answer is the one
 * that counts; what the others said is kept with it.
 */
import { Effect, Result, type Scope } from "effect"
import type { RegistryFailed } from "../../services/RegistryFetcher.ts"
import type { EndpointClient, FoundEndpoint, RegistryExchange } from "./endpointClient.ts"
import type { Endpoints } from "./endpoints.ts"
import type { Exchange, ExchangeRequest } from "./exchange.ts"
import { ExchangeFailed } from "./exchangeFailed.ts"
import { hold } from "./hold.ts"
import type { Capability, RegistryEndpoint } from "./registryEndpoint.ts"
import type { RegistrySettings } from "./registryOptions.ts"
import { describeStatus } from "./retryPolicy.ts"

export type Operation = RegistryFailed["operation"]

export interface RegistryRequest extends Omit<ExchangeRequest, "url" | "headers" | "tls" | "timeoutMillis"> {
  readonly host: string
  readonly repository: string
  /** Which servers may be asked. */
  readonly capability: Capability
  /** What a token must allow. */
  readonly actions: "pull" | "pull,push"
  /** Other repositories that the token must let us read. */
  readonly alsoPull?: ReadonlyArray<string>
  /** Below `/v2/<repository>/`. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface RegistryClient {
  readonly settings: RegistrySettings
  /**
   * The answer to a request, once authorized and at the end of its redirects; its status may be any but those of a
   * moment.
   */
  readonly request: (request: RegistryRequest) => Effect.Effect<RegistryExchange, ExchangeFailed, Scope.Scope>
  /** A mirror sent what cannot be used: it is left alone for a while. */
  readonly avoid: (endpoint: RegistryEndpoint) => Effect.Effect<void>
  /** The servers that `request` would ask. */
  readonly endpoints: (
    host: string,
    capability: Capability
  ) => Effect.Effect<readonly [RegistryEndpoint, ...ReadonlyArray<RegistryEndpoint>], ExchangeFailed>
  /** A request to one server, at a URL that it gave, or at the one that follows from the request. */
  readonly requestAt: (
    endpoint: RegistryEndpoint,
    request: RegistryRequest,
    url?: string
  ) => Effect.Effect<RegistryExchange, ExchangeFailed, Scope.Scope>
  /** A request to a URL that a server redirected to; no credential goes along. */
  readonly requestUrl: (
    endpoint: FoundEndpoint,
    request: ExchangeRequest
  ) => Effect.Effect<Exchange, ExchangeFailed, Scope.Scope>
}

/** Adds what other servers said to the failure of the last one. */
export const withBefore =
  (before: ReadonlyArray<string>) =>
  (failure: ExchangeFailed): ExchangeFailed => {
    if (before.length === 0) return failure
    const { reason, transient, status, retryAfterMillis, cause } = failure
    return new ExchangeFailed({
      reason: `${reason} (before: ${before.join("; ")})`,
      transient,
      ...(status === undefined ? {} : { status }),
      ...(retryAfterMillis === undefined ? {} : { retryAfterMillis }),
      ...(cause === undefined ? {} : { cause })
    })
  }

export const makeRegistryClient = (
  settings: RegistrySettings,
  { ask, askUrl }: EndpointClient,
  endpoints: Endpoints
): RegistryClient => {
  /** The answer of a mirror if it helps, or why it does not. */
  const askMirror = Effect.fnUntraced(function* (endpoint: RegistryEndpoint, wanted: RegistryRequest) {
    const attempt = yield* Effect.result(hold(ask(endpoint, wanted)))
    if (Result.isFailure(attempt)) {
      yield* endpoints.rest(endpoint)
      return `mirror ${endpoint.authority}: ${attempt.failure.reason}`
    }
    const { value, release } = attempt.success
    if (value.status < 400) return { ...value, isLast: false }
    const refusal = yield* describeStatus(value)
    yield* release
    return `mirror ${endpoint.authority}: ${refusal}`
  })

  const request: RegistryClient["request"] = Effect.fnUntraced(function* (wanted) {
    const able = yield* endpoints.of(wanted.host, wanted.capability)
    const before: Array<string> = []
    // An upload begins where it will end: it is for the first server that takes uploads.
    const mirrors = wanted.capability === "push" ? [] : able.slice(0, -1)
    for (const mirror of mirrors) {
      const answer = yield* askMirror(mirror, wanted)
      if (typeof answer !== "string") return answer
      before.push(answer)
    }
    const last = wanted.capability === "push" ? able[0] : (able.at(-1) ?? able[0])
    const exchange = yield* Effect.mapError(ask(last, wanted), withBefore(before))
    return before.length === 0 ? exchange : { ...exchange, before: before.join("; ") }
  })

  return {
    settings,
    request: (wanted) => Effect.map(hold(request(wanted)), ({ value }) => value),
    avoid: endpoints.rest,
    endpoints: endpoints.of,
    requestAt: ask,
    requestUrl: askUrl
  }
}

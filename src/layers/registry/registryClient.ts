/**
 * Requests to registries: authorized, redirected and judged. A credential goes to the registry it is for and to no other
 * origin, whatever redirects and locations say.
 */
import { Effect, Exit, Redacted, Scope, Stream } from "effect"
import type { RegistryFailed } from "../../services/RegistryFetcher.ts"
import type { Authorization } from "./authorization.ts"
import { parseChallenge } from "./challenge.ts"
import {
  drain,
  type Exchange,
  ExchangeFailed,
  type ExchangeRequest,
  readBody,
  type Send,
  shownUrl
} from "./exchange.ts"
import { mayBePlain, registryOrigin, type RegistrySettings } from "./registryOptions.ts"
import { failIfTransient } from "./retryPolicy.ts"

export type Operation = RegistryFailed["operation"]

export interface RegistryRequest extends Omit<ExchangeRequest, "url" | "headers"> {
  readonly host: string
  readonly repository: string
  readonly actions: "pull" | "pull,push"
  /** Below `/v2/<repository>/`, or a URL that the registry gave. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface RegistryClient {
  readonly settings: RegistrySettings
  /** The answer to a request, once authorized and at the end of its redirects; its status may be any but those of a moment. */
  readonly request: (request: RegistryRequest) => Effect.Effect<Exchange, ExchangeFailed, Scope.Scope>
  /** A request to a URL that a registry redirected to; no credential goes along. */
  readonly requestUrl: (host: string, request: ExchangeRequest) => Effect.Effect<Exchange, ExchangeFailed, Scope.Scope>
}

const maxRedirects = 10
const redirects: ReadonlyArray<number> = [301, 302, 303, 307, 308]

export const isRedirect = (status: number): boolean => redirects.includes(status)

interface Held<A> {
  readonly value: A
  /** Gives the connection back before the surrounding scope does. */
  readonly release: Effect.Effect<void>
}

/**
 * Runs an attempt whose resources are released at once if it fails, and by the surrounding scope or by hand if not: a request
 * that is over must not hold a place that the next one waits for.
 */
export const hold = <A, E, R>(
  attempt: Effect.Effect<A, E, R>
): Effect.Effect<Held<A>, E, Exclude<R, Scope.Scope> | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.scope, (outer) =>
      Effect.flatMap(Scope.fork(outer), (own) =>
        restore(Scope.provide(attempt, own)).pipe(
          Effect.onError((cause) => Scope.close(own, Exit.failCause(cause))),
          Effect.map((value) => ({ value, release: Scope.close(own, Exit.void) }))
        )
      )
    )
  )

const maxRefusalBytes = 16 * 1024

/** The answer with its body in memory, so that its connection can be given back. */
const detached = (exchange: Exchange): Effect.Effect<Exchange> =>
  readBody(exchange, maxRefusalBytes).pipe(
    Effect.map((bytes) => ({ ...exchange, body: Stream.make(bytes) })),
    Effect.orElseSucceed(() => ({ ...exchange, body: Stream.empty }))
  )

export const makeRegistryClient = (
  send: Send,
  settings: RegistrySettings,
  authorization: Authorization
): RegistryClient => {
  const locationOf = (exchange: Exchange, host: string): Effect.Effect<string, ExchangeFailed> => {
    const url = URL.parse(exchange.headers["location"] ?? "", exchange.url)
    const allowed = url?.protocol === "https:" || (url?.protocol === "http:" && mayBePlain(settings, host))
    return url !== null && allowed
      ? Effect.succeed(url.href)
      : Effect.fail(
          new ExchangeFailed({
            reason: `${shownUrl(exchange.url)} redirects to ${url === null ? "nowhere" : shownUrl(url.href)}, which is not safe`,
            transient: false
          })
        )
  }

  /** Follows redirects; `authorized` gives the header for an origin, which only the registry's own gets. */
  const follow = Effect.fnUntraced(function* (
    host: string,
    request: ExchangeRequest,
    authorized: (url: string) => Readonly<Record<string, string>>
  ) {
    let url = request.url
    for (let hops = 0; hops <= maxRedirects; hops++) {
      const headers = { ...request.headers, ...authorized(url) }
      const { value, release } = yield* hold(Effect.flatMap(send({ ...request, url, headers }), failIfTransient))
      if (!isRedirect(value.status) || request.method !== "GET") return value
      const location = yield* locationOf(value, host)
      yield* drain(value)
      yield* release
      url = location
    }
    return yield* new ExchangeFailed({ reason: `${shownUrl(request.url)} redirects without end`, transient: false })
  })

  const request: RegistryClient["request"] = Effect.fnUntraced(function* (wanted) {
    const { host, repository, actions, path, headers = {}, ...rest } = wanted
    const origin = registryOrigin(settings, host)
    const url = URL.parse(path)?.href ?? `${origin}/v2/${repository}/${path}`
    const scope = `repository:${repository}:${actions}`
    const once = (header: Redacted.Redacted | undefined) =>
      hold(
        follow(host, { ...rest, url, headers }, (target) =>
          header !== undefined && new URL(target).origin === origin ? { authorization: Redacted.value(header) } : {}
        )
      )
    const sent = yield* authorization.header(host, scope)
    const first = yield* once(sent)
    if (first.value.status !== 401 || new URL(first.value.url).origin !== origin) return first.value
    const refusal = yield* detached(first.value)
    // The token may come from the same host: its request must find a place.
    yield* first.release
    const challenge = parseChallenge(refusal.headers["www-authenticate"])
    const answer = challenge && (yield* authorization.answer(host, scope, challenge, sent))
    return answer === undefined ? refusal : (yield* once(answer)).value
  })

  return {
    settings,
    request: (wanted) => Effect.map(hold(request(wanted)), ({ value }) => value),
    requestUrl: (host, wanted) => Effect.map(hold(follow(host, wanted, () => ({}))), ({ value }) => value)
  }
}

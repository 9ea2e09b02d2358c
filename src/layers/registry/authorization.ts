/**
 * What registries want to see before they answer: nothing, a name and password, or a token. What a registry asked for once is sent
 * along from then on. Any number of requests that need the same token share one token request.
 */
import { Clock, Effect, Fiber, FiberMap, Option, type Redacted } from "effect"
import type { BearerChallenge, Challenge } from "./challenge.ts"
import type { CredentialSource } from "./dockerCredentials.ts"
import type { ExchangeFailed, Send } from "./exchange.ts"
import type { RegistrySettings } from "./registryOptions.ts"
import { retrying } from "./retryPolicy.ts"
import { basicHeader, requestToken, type Token } from "./tokenServer.ts"

type Header = Redacted.Redacted | undefined

export interface Authorization {
  /** The header for a request, as far as it is known what the registry wants. */
  readonly header: (host: string, scope: string) => Effect.Effect<Header, ExchangeFailed>
  /** The header that answers a challenge; `refused` is what was sent when it came. `undefined`: there is none. */
  readonly answer: (
    host: string,
    scope: string,
    challenge: Challenge,
    refused: Header
  ) => Effect.Effect<Header, ExchangeFailed>
}

/** Hosts and tokens that are remembered; the oldest are forgotten first. */
const maxRemembered = 1000

const remember = <A>(map: Map<string, A>, key: string, value: A): void => {
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > maxRemembered && oldest !== undefined) map.delete(oldest)
}

export const makeAuthorization = Effect.fnUntraced(function* (
  send: Send,
  settings: RegistrySettings,
  credentials: CredentialSource
) {
  const challenges = new Map<string, BearerChallenge>()
  const basicHeaders = new Map<string, Redacted.Redacted>()
  const tokens = new Map<string, Token>()
  const requests = yield* FiberMap.make<string, Token, ExchangeFailed>()
  const start = yield* FiberMap.runtime(requests)()

  const request = (key: string, host: string, challenge: BearerChallenge, scopes: ReadonlyArray<string>) =>
    Effect.flatMap(credentials(host), (credential) =>
      requestToken(send, settings, host, challenge, scopes, Option.getOrUndefined(credential))
    ).pipe(
      retrying(settings),
      Effect.tap((token) => Effect.sync(() => remember(tokens, key, token)))
    )

  const bearer = (host: string, scope: string, challenge: BearerChallenge): Effect.Effect<Header, ExchangeFailed> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const scopes = [...new Set([scope, ...(challenge.scope ?? "").split(" ")])].filter((one) => one !== "")
      const key = `${host} ${scope}`
      const token = tokens.get(key)
      if (token !== undefined && token.expiresAtMillis > now) return Effect.succeed(token.header)
      // Looked up and started in one step: two requests that come together must not both start one.
      const running = Option.getOrElse(FiberMap.getUnsafe(requests, key), () =>
        start(key, request(key, host, challenge, scopes))
      )
      return Effect.map(Fiber.join(running), ({ header }) => header)
    })

  const basic = Effect.fnUntraced(function* (host: string, refused: Header) {
    basicHeaders.delete(host)
    const credential = yield* credentials(host)
    if (Option.isNone(credential) || refused !== undefined) return undefined
    const header = basicHeader(credential.value)
    remember(basicHeaders, host, header)
    return header
  })

  return {
    header: (host, scope) => {
      const challenge = challenges.get(host)
      return challenge === undefined ? Effect.succeed(basicHeaders.get(host)) : bearer(host, scope, challenge)
    },
    answer: (host, scope, challenge, refused) => {
      if (challenge.scheme === "basic") return basic(host, refused)
      const { scope: _, ...general } = challenge
      remember(challenges, host, { ...general, scope: undefined })
      const key = `${host} ${scope}`
      // Another request may have got a new token while this one was refused with the old.
      if (refused !== undefined && tokens.get(key)?.header === refused) tokens.delete(key)
      return bearer(host, scope, challenge)
    }
  } satisfies Authorization
})

/**
 * What registries want to see before they answer: nothing, a name and password, or a token. What a registry asked for
 * once is sent along from then on. Any number of requests that need the same token share one token request.
 */
import { Clock, Effect, Fiber, FiberMap, Option, Redacted } from "effect"
import type { Repository } from "../../services/RegistryFetcher.ts"
import type { BearerChallenge, Challenge } from "./challenge.ts"
import { type CredentialSource, parseUser } from "./dockerCredentials.ts"
import type { Send } from "./exchange.ts"
import type { ExchangeFailed } from "./exchangeFailed.ts"
import type { TlsMaterial } from "./registryEndpoint.ts"
import type { RegistrySettings } from "./registryOptions.ts"
import { retrying } from "./retryPolicy.ts"
import { basicHeader, requestToken, type Token } from "./tokenServer.ts"

type Header = Redacted.Redacted | undefined

/** The server that a header is for. */
export interface Audience {
  readonly origin: string
  /** Under which name its credentials are known. */
  readonly host: string
  readonly isMirror: boolean
  readonly tls: TlsMaterial
  /** What is asked for there. */
  readonly reference: Repository
}

export interface Authorization {
  /** The header for a request, as far as it is known what the registry wants. */
  readonly header: (audience: Audience, scope: string) => Effect.Effect<Header, ExchangeFailed>
  /** The header that answers a challenge; `refused` is what was sent when it came. `undefined`: there is none. */
  readonly answer: (
    audience: Audience,
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

const isSame = (one: Header, other: Redacted.Redacted): boolean =>
  one !== undefined && Redacted.value(one) === Redacted.value(other)

export const makeAuthorization = Effect.fnUntraced(function* (
  send: Send,
  settings: RegistrySettings,
  source: CredentialSource
) {
  const challenges = new Map<string, BearerChallenge>()
  const basicHeaders = new Map<string, Redacted.Redacted>()
  const tokens = new Map<string, Token>()
  const requests = yield* FiberMap.make<string, Token, ExchangeFailed>()
  const start = yield* FiberMap.runtime(requests)()

  const user = settings.user === undefined ? undefined : parseUser(settings.user)
  /** The name that was given is for the registry that was named, not for those that stand in for it. */
  const credentials = ({ host, isMirror, reference }: Audience) => {
    const isMeant = !isMirror && (settings.userHost === undefined || settings.userHost === reference.host)
    return user !== undefined && isMeant ? Effect.succeedSome(user) : source(host, reference)
  }

  const request = (key: string, audience: Audience, challenge: BearerChallenge, scopes: ReadonlyArray<string>) =>
    Effect.flatMap(credentials(audience), (credential) =>
      requestToken(send, audience, challenge, scopes, Option.getOrUndefined(credential))
    ).pipe(
      retrying(settings),
      Effect.tap((token) => Effect.sync(() => remember(tokens, key, token)))
    )

  const bearer = (
    audience: Audience,
    scope: string,
    challenge: BearerChallenge
  ): Effect.Effect<Header, ExchangeFailed> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const wanted = [...scope.split(" "), ...(challenge.scope ?? "").split(" ")]
      const scopes = [...new Set(wanted)].filter((one) => one !== "")
      const key = `${audience.origin} ${scope}`
      const token = tokens.get(key)
      if (token !== undefined && token.expiresAtMillis > now) return Effect.succeed(token.header)
      // Looked up and started in one step: two requests that come together must not both start one.
      const running = Option.getOrElse(FiberMap.getUnsafe(requests, key), () =>
        start(key, request(key, audience, challenge, scopes))
      )
      return Effect.map(Fiber.join(running), ({ header }) => header)
    })

  /** A password may have changed since, or been a token that expired: what was refused is not sent again. */
  const basic = Effect.fnUntraced(function* (audience: Audience, refused: Header) {
    basicHeaders.delete(audience.origin)
    const credential = yield* credentials(audience)
    if (Option.isNone(credential)) return undefined
    const header = basicHeader(credential.value)
    if (isSame(refused, header)) return undefined
    remember(basicHeaders, audience.origin, header)
    return header
  })

  return {
    header: (audience, scope) => {
      const challenge = challenges.get(audience.origin)
      return challenge === undefined
        ? Effect.succeed(basicHeaders.get(audience.origin))
        : bearer(audience, scope, challenge)
    },
    answer: (audience, scope, challenge, refused) => {
      if (challenge.scheme === "basic") {
        challenges.delete(audience.origin)
        return basic(audience, refused)
      }
      remember(challenges, audience.origin, { ...challenge, scope: undefined })
      const key = `${audience.origin} ${scope}`
      // Another request may have got a new token while this one was refused with the old.
      if (refused !== undefined && tokens.get(key)?.header === refused) tokens.delete(key)
      return bearer(audience, scope, challenge)
    }
  } satisfies Authorization
})

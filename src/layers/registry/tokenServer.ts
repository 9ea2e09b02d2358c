/**
 * Asks token servers for tokens (distribution-spec, "Token Authentication"; OAuth2's refresh grant for identity
 * tokens).
 */
import { Clock, Effect, Redacted, Schema } from "effect"
import type { BearerChallenge } from "./challenge.ts"
import type { Credential } from "./dockerCredentials.ts"
import type { Audience } from "./authorization.ts"
import { type ExchangeRequest, readBody, type Send, shownUrl } from "./exchange.ts"
import { ExchangeFailed } from "./exchangeFailed.ts"
import { foreignTls, isLoopback } from "./registryEndpoint.ts"
import { describeStatus, failIfTransient } from "./retryPolicy.ts"

export interface Token {
  readonly header: Redacted.Redacted
  readonly expiresAtMillis: number
}

/** A token that does not say how long it lives does for a minute (distribution-spec). */
const defaultLifeSeconds = 60
/** Tokens are given up a little early: a request takes its time too. */
const earlySeconds = 5
const maxTokenBytes = 256 * 1024

const TokenAnswer = Schema.Struct({
  token: Schema.optionalKey(Schema.String),
  access_token: Schema.optionalKey(Schema.String),
  expires_in: Schema.optionalKey(Schema.Number)
})
const decodeToken = Schema.decodeUnknownSync(Schema.fromJsonString(TokenAnswer))

export const basicHeader = ({ username, password }: Credential): Redacted.Redacted =>
  Redacted.make(`Basic ${Buffer.from(`${username}:${Redacted.value(password)}`).toString("base64")}`)

const noToken = (url: string, reason: string) =>
  new ExchangeFailed({ reason: `no token from ${shownUrl(url)}: ${reason}`, transient: false, status: 401 })

/** Where credentials go and tokens come from must be as safe as the registry is. */
const checkRealm = (origin: string, realm: string) =>
  Effect.suspend(() => {
    const url = URL.parse(realm)
    if (url === null || !["http:", "https:"].includes(url.protocol)) {
      return Effect.fail(noToken(realm, "its address is no URL"))
    }
    const plainAllowed = origin.startsWith("http:") || isLoopback(url.host)
    return url.protocol === "http:" && !plainAllowed
      ? Effect.fail(noToken(realm, "the registry uses TLS, its token server does not"))
      : Effect.succeed(url)
  })

interface Wanted {
  readonly service: string
  readonly scopes: ReadonlyArray<string>
  readonly credential: Credential | undefined
}

const tokenRequest = (realm: URL, { service, scopes, credential }: Wanted): ExchangeRequest => {
  if (credential?.identityToken !== undefined) {
    const form = new URLSearchParams({
      grant_type: "refresh_token",
      client_id: "effect-soci",
      refresh_token: Redacted.value(credential.identityToken),
      service,
      scope: scopes.join(" ")
    })
    const headers = { "content-type": "application/x-www-form-urlencoded" }
    return { method: "POST", url: realm.href, headers, bytes: new TextEncoder().encode(form.toString()) }
  }
  const url = new URL(realm)
  if (service !== "") url.searchParams.set("service", service)
  for (const scope of scopes) url.searchParams.append("scope", scope)
  const headers = credential === undefined ? {} : { authorization: Redacted.value(basicHeader(credential)) }
  return { method: "GET", url: url.href, headers }
}

export const requestToken = Effect.fnUntraced(function* (
  send: Send,
  { origin, tls }: Audience,
  challenge: BearerChallenge,
  scopes: ReadonlyArray<string>,
  credential: Credential | undefined
) {
  const realm = yield* checkRealm(origin, challenge.realm)
  const request = {
    ...tokenRequest(realm, { service: challenge.service ?? "", scopes, credential }),
    tls: realm.origin === origin ? tls : foreignTls(tls)
  }
  const exchange = yield* Effect.flatMap(send(request), failIfTransient)
  if (exchange.status !== 200) return yield* noToken(challenge.realm, yield* describeStatus(exchange))
  const bytes = yield* readBody(exchange, maxTokenBytes)
  const answer = yield* Effect.try({
    try: () => decodeToken(new TextDecoder().decode(bytes)),
    // The error of the parser would quote the answer, which holds the token.
    catch: () => noToken(challenge.realm, "its answer is no token")
  })
  const token = answer.token || answer.access_token
  if (!token || /[^\x21-\x7e]/.test(token)) return yield* noToken(challenge.realm, "its answer is no token")
  const seconds = Math.max(defaultLifeSeconds, answer.expires_in ?? 0) - earlySeconds
  const expiresAtMillis = (yield* Clock.currentTimeMillis) + seconds * 1000
  return { header: Redacted.make(`Bearer ${token}`), expiresAtMillis } satisfies Token
}, Effect.scoped)

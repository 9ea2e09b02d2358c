/**
 * One HTTP request and its answer, bounded: a connection, a head and chunks that come in time, and no more requests to
 * a host at once than are allowed. No redirect is followed here, nothing is repeated and no status is judged.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Duration, Effect, type Scope, Stream } from "effect"
import { HttpBody, HttpClient, HttpClientRequest, type HttpMethod } from "effect/http"
import { concealing } from "./conceal.ts"
import { makeConnections } from "./connections.ts"
import { ExchangeFailed } from "./exchangeFailed.ts"
import { redactHeaders, redactUrl } from "./exchangeLog.ts"
import { describeNetworkFailure } from "./networkFailure.ts"
import { proxyFor } from "./proxy.ts"
import { makeSlots } from "./slots.ts"
import { systemTls, type TlsMaterial } from "./registryEndpoint.ts"
import type { RegistrySettings } from "./registryOptions.ts"

/** A body of any size. */
export interface Upload {
  readonly content: Stream.Stream<Uint8Array, unknown>
  readonly size: number
}

export interface ExchangeRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE"
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** A small body; its type is among the headers. */
  readonly bytes?: Uint8Array
  readonly upload?: Upload
  /** What the server is trusted by, and we by it; the system's certificates by default. */
  readonly tls?: TlsMaterial
  /** Milliseconds to the head of the answer, in place of the common limit; at most as long as a whole operation. */
  readonly timeoutMillis?: number | undefined
}

export interface Exchange {
  readonly url: string
  /** What other servers for the same content answered before. */
  readonly before?: string
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Stream.Stream<Uint8Array, ExchangeFailed>
  /** Takes the secrets of the request out of what the server says. */
  readonly conceal: (text: string) => string
}

/** The scope holds the connection: closing it ends a transfer that has not ended. */
export type Send = (request: ExchangeRequest) => Effect.Effect<Exchange, ExchangeFailed, Scope.Scope>

/** A URL as it may be shown: queries hold signatures. */
export const shownUrl = (url: string): string => url.replace(/[?#].*$/s, "")

const timedOut = (what: string, duration: Duration.Duration) =>
  new ExchangeFailed({ reason: `${what} within ${duration}`, transient: true })

/** `hint` is for connections that end without a word. */
const failedAt = (url: string, cause: unknown, hint = "") => {
  const { reason, closed = false, ...rest } = describeNetworkFailure(cause)
  return new ExchangeFailed({ reason: `${shownUrl(url)}: ${reason}${closed ? hint : ""}`, ...rest })
}

/** With TLS 1.3 a server may find out that a certificate is missing when all seems well. */
const maybeNoCertificate = " before it answered. If it wants a client certificate, give --tlscert and --tlskey"

/** Fails when nothing moves for as long as `duration`. */
const makeWatchdog = (url: string, duration: Duration.Duration) => {
  let moved = 0
  const watch = (seen: number): Effect.Effect<never, ExchangeFailed> =>
    Effect.flatMap(Effect.sleep(duration), () =>
      seen === moved ? Effect.fail(timedOut(`${shownUrl(url)}: the upload did not move`, duration)) : watch(moved)
    )
  return { move: Effect.sync(() => moved++), watch: Effect.suspend(() => watch(moved)) }
}

const bodyOf = (upload: Upload, move: Effect.Effect<unknown>) =>
  HttpBody.stream(
    Stream.tap(upload.content, () => move),
    "application/octet-stream",
    upload.size
  )

/**
 * Answers that have no body, whatever their heads say. Read to its end, an answer lets its connection be used again;
 * closed unread, it takes the connection along.
 */
const hasNoBody = (method: string, status: number, length: string | undefined): boolean =>
  method === "HEAD" || status === 204 || status === 304 || length === "0"

/**
 * Undici would close a connection after each HEAD, for servers that send a body then: they get an error with the next
 * request.
 */
const keepConnection = Effect.provideService(NodeHttpClient.UndiciOptions, { reset: false })

const requestOf = ({ method, url, headers, bytes, upload }: ExchangeRequest, move: Effect.Effect<unknown>) =>
  HttpClientRequest.make(method satisfies HttpMethod.HttpMethod)(url, {
    headers,
    ...(bytes === undefined ? {} : { body: HttpBody.uint8Array(bytes, headers["content-type"]) }),
    ...(upload === undefined ? {} : { body: bodyOf(upload, move) })
  })

export const makeSend = Effect.fnUntraced(function* (settings: RegistrySettings) {
  const connections = yield* makeConnections(settings)
  const takeSlot = makeSlots(settings.requestsPerHost)
  const {
    onExchange = () => Effect.void,
    idleTimeout,
    uploadTimeout,
    headersTimeout,
    operationTimeoutMillis
  } = settings

  const exchange = Effect.fnUntraced(function* (asked: ExchangeRequest, target: URL) {
    const { method, url, upload, tls = systemTls, timeoutMillis } = asked
    // Uploads count apart from the rest: content may come from the host it goes to, and must not wait for itself.
    yield* takeSlot(`${upload === undefined ? "" : "upload "}${target.host}`)
    const secure = target.protocol === "https:"
    const client = yield* connections({
      tls: secure ? tls : undefined,
      proxy: proxyFor(target, settings.proxies)
    })
    const watchdog = makeWatchdog(url, uploadTimeout)
    const answered = client
      .execute(requestOf(asked, watchdog.move))
      .pipe(
        Effect.mapError((error) =>
          failedAt(url, error.reason, secure && tls.clients.length === 0 ? maybeNoCertificate : "")
        )
      )
    const duration =
      timeoutMillis === undefined ? headersTimeout : Duration.millis(Math.min(timeoutMillis, operationTimeoutMillis))
    const orElse = () => Effect.fail(timedOut(`${shownUrl(url)}: the server did not answer`, duration))
    const response = yield* upload === undefined
      ? Effect.timeoutOrElse(answered, { duration, orElse })
      : Effect.raceFirst(answered, watchdog.watch)
    const body = response.stream.pipe(
      Stream.mapError((error) => failedAt(url, error.reason)),
      Stream.timeoutOrElse({
        duration: idleTimeout,
        orElse: () => Stream.fail(timedOut(`${shownUrl(url)}: no more of the body came`, idleTimeout))
      })
    )
    const answer: Exchange = {
      url,
      status: response.status,
      headers: response.headers,
      body,
      conceal: concealing(asked)
    }
    if (hasNoBody(method, answer.status, answer.headers["content-length"])) yield* drain(answer)
    return answer
  })

  const send: Send = Effect.fnUntraced(
    function* (request) {
      const common = { "user-agent": settings.userAgent, "accept-encoding": "identity" }
      const asked = { ...request, headers: { ...common, ...request.headers } }
      const target = URL.parse(asked.url)
      if (target === null) return yield* new ExchangeFailed({ reason: "the address is no URL", transient: false })
      const shown = { method: asked.method, url: redactUrl(asked.url) }
      yield* onExchange({ _tag: "Request", ...shown, headers: redactHeaders(asked.headers) })
      const answer = yield* Effect.tapError(exchange(asked, target), ({ reason }) =>
        onExchange({ _tag: "Failure", ...shown, reason })
      )
      const { status, headers, conceal } = answer
      yield* onExchange({ _tag: "Response", ...shown, status, headers: redactHeaders(headers, conceal) })
      return answer
    },
    Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
    keepConnection
  )

  return send
})

/** At most `limit` bytes of a body in memory; a longer one is refused before more of it is read. */
export const readBody = (exchange: Exchange, limit: number): Effect.Effect<Uint8Array, ExchangeFailed> =>
  Effect.suspend(() => {
    let size = 0
    return exchange.body.pipe(
      Stream.tap((chunk) =>
        (size += chunk.length) > limit
          ? Effect.fail(
              new ExchangeFailed({
                reason: `${shownUrl(exchange.url)}: more than ${limit} bytes came`,
                transient: false
              })
            )
          : Effect.void
      ),
      Stream.runCollect,
      Effect.map((chunks) => Buffer.concat(chunks))
    )
  })

/** How much of a body that nobody needs is read, so that its connection can be used again. */
const drainBytes = 64 * 1024

export const drain = (exchange: Exchange): Effect.Effect<void> => Effect.ignore(readBody(exchange, drainBytes))

/**
 * One HTTP request and its answer, bounded: a connection, a head and chunks that come in time, and no more requests to a host
 * at once than are allowed. No redirect is followed here, nothing is repeated and no status is judged.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Data, type Duration, Effect, Layer, type Scope, Semaphore, Stream } from "effect"
import { HttpBody, HttpClient, HttpClientRequest, type HttpMethod } from "effect/http"
import { describeNetworkFailure } from "./networkFailure.ts"
import type { RegistrySettings } from "./registryOptions.ts"

/** A request failed. `transient`: repeating it may help. Reasons hold no credential and no query of a URL. */
export class ExchangeFailed extends Data.TaggedError("ExchangeFailed")<{
  readonly reason: string
  readonly transient: boolean
  readonly status?: number
  readonly retryAfterMillis?: number
  readonly cause?: unknown
}> {
  override get message(): string {
    return this.reason
  }
}

export const isExchangeFailed = (error: unknown): error is ExchangeFailed => error instanceof ExchangeFailed

/** A body of any size. */
export interface Upload {
  readonly content: Stream.Stream<Uint8Array, unknown>
  readonly size: number
}

export interface ExchangeRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT"
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** A small body; its type is among the headers. */
  readonly bytes?: Uint8Array
  readonly upload?: Upload
}

export interface Exchange {
  readonly url: string
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Stream.Stream<Uint8Array, ExchangeFailed>
}

/** The scope holds the connection: closing it ends a transfer that has not ended. */
export type Send = (request: ExchangeRequest) => Effect.Effect<Exchange, ExchangeFailed, Scope.Scope>

/** A URL as it may be shown: queries hold signatures. */
export const shownUrl = (url: string): string => url.replace(/[?#].*$/s, "")

const timedOut = (what: string, duration: Duration.Duration) =>
  new ExchangeFailed({ reason: `${what} within ${duration}`, transient: true })

const failedAt = (url: string, cause: unknown) => {
  const { reason, ...rest } = describeNetworkFailure(cause)
  return new ExchangeFailed({ reason: `${shownUrl(url)}: ${reason}`, ...rest })
}

/** Uploads count apart from the rest: content may come from the host it goes to, and must not wait for itself. */
const makeSlots = (perHost: number) => {
  const slots = new Map<string, { readonly semaphore: Semaphore.Semaphore; users: number }>()
  return (key: string): Effect.Effect<void, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const slot = slots.get(key) ?? { semaphore: Semaphore.makeUnsafe(perHost), users: 0 }
        slots.set(key, slot)
        slot.users++
        return slot
      }),
      (slot) => Effect.sync(() => --slot.users === 0 && slots.delete(key))
    ).pipe(
      Effect.flatMap(({ semaphore }) => semaphore.takeScoped(1)),
      Effect.asVoid
    )
}

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

export const makeSend = Effect.fnUntraced(function* (settings: RegistrySettings) {
  const dispatcher = NodeHttpClient.layerDispatcherOptions({
    // Both kinds of slots, so that none of ours waits inside the pool where no deadline sees it.
    connections: 2 * settings.requestsPerHost,
    connect: { timeout: settings.connectTimeoutMillis }
  })
  const context = yield* Layer.build(Layer.provide(NodeHttpClient.layerUndiciNoDispatcher, dispatcher))
  const client = HttpClient.withScope(yield* Effect.provideContext(HttpClient.HttpClient, context))
  const takeSlot = makeSlots(settings.requestsPerHost)

  const send: Send = Effect.fnUntraced(
    function* ({ method, url, headers, bytes, upload }) {
      yield* takeSlot(`${upload === undefined ? "" : "upload "}${new URL(url).host}`)
      const watchdog = makeWatchdog(url, settings.uploadTimeout)
      const request = HttpClientRequest.make(method satisfies HttpMethod.HttpMethod)(url, {
        headers: { "user-agent": settings.userAgent, "accept-encoding": "identity", ...headers },
        ...(bytes === undefined ? {} : { body: HttpBody.uint8Array(bytes, headers["content-type"]) }),
        ...(upload === undefined ? {} : { body: bodyOf(upload, watchdog.move) })
      })
      const answered = client.execute(request).pipe(Effect.mapError((error) => failedAt(url, error.reason)))
      const orElse = () => Effect.fail(timedOut(`${shownUrl(url)}: the server did not answer`, settings.headersTimeout))
      const response = yield* upload === undefined
        ? Effect.timeoutOrElse(answered, { duration: settings.headersTimeout, orElse })
        : Effect.raceFirst(answered, watchdog.watch)
      const body = response.stream.pipe(
        Stream.mapError((error) => failedAt(url, error.reason)),
        Stream.timeoutOrElse({
          duration: settings.idleTimeout,
          orElse: () => Stream.fail(timedOut(`${shownUrl(url)}: no more of the body came`, settings.idleTimeout))
        })
      )
      const exchange = { url, status: response.status, headers: response.headers, body }
      // Read to its end now, an empty body lets its connection be used again; closed unread, it takes the connection along.
      if (response.headers["content-length"] === "0") yield* drain(exchange)
      return exchange
    },
    Effect.provideService(HttpClient.TracerDisabledWhen, () => true)
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

/**
 * What an embedded registry does wrong when it is told to: so that clients can be shown what networks and servers do to
 * them.
 */
import { NodeHttpServerRequest } from "@effect/platform-node"
import { Context, type Duration, Effect, Stream } from "effect"
import { Headers, HttpServerRequest, HttpServerResponse } from "effect/http"
import { take } from "../registry/contentRange.ts"

export type Fault =
  /** Time passes before the answer. */
  | { readonly _tag: "Latency"; readonly duration: Duration.Input }
  /** The connection is reset after so many bytes of the body of the answer. */
  | { readonly _tag: "Reset"; readonly afterBytes: number }
  /** The connection is reset after so many bytes of the body of the request. */
  | { readonly _tag: "ResetUpload"; readonly afterBytes: number }
  /** The answer says that it has so many bytes, and has no more. */
  | { readonly _tag: "ShortBody"; readonly bytes: number }
  /** The range that was asked for is overlooked. */
  | { readonly _tag: "WholeForRange" }
  | { readonly _tag: "WrongContentRange"; readonly contentRange: string }
  /** Each byte of the body is another one. */
  | { readonly _tag: "WrongBytes" }
  /** So many bytes come at a time, and then none for a while. */
  | { readonly _tag: "SlowDrip"; readonly bytes: number; readonly every: Duration.Input }
  /** Nothing but a status: 401, 403, 429, 503, ... */
  | { readonly _tag: "Status"; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** The content is at the same path of another server, it says. */
  | { readonly _tag: "Redirect"; readonly origin: string; readonly query?: string }
  | { readonly _tag: "NoDigestHeader" }

/**
 * When a fault happens: for requests of this kind, from the `after`-th one on (counted from 0), as often as `times`.
 */
export interface FaultRule {
  readonly fault: Fault
  readonly method?: string
  readonly path?: RegExp
  /** Only for requests with a range, or only for those without one. */
  readonly ranged?: boolean
  readonly after?: number
  readonly times?: number
}

/** After how many bytes the upload of a request breaks. */
export const UploadBreak = Context.Reference<number | undefined>("effect-soci/layers/embedded/UploadBreak", {
  defaultValue: () => undefined
})

/** Ends the connection of a request as a crash of the server would. */
export const resetConnection = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
  Effect.sync(() => void NodeHttpServerRequest.toIncomingMessage(request).socket.destroy())
)

type Answer<E, R> = Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>

const bodyOf = ({ body }: HttpServerResponse.HttpServerResponse): Stream.Stream<Uint8Array, unknown> => {
  if (body._tag === "Stream") return body.stream
  return body._tag === "Uint8Array" ? Stream.make(body.body) : Stream.empty
}

/** The answer with another body, and of the length that it says. */
const withBody = (
  response: HttpServerResponse.HttpServerResponse,
  body: Stream.Stream<Uint8Array, unknown>,
  length: string | undefined = response.headers["content-length"]
) =>
  HttpServerResponse.stream(body, {
    status: response.status,
    headers: response.headers,
    contentType: response.headers["content-type"] ?? "application/octet-stream",
    ...(length === undefined ? {} : { contentLength: Number(length) })
  })

const broken = Effect.andThen(resetConnection, Effect.never)

const inDrops = (bytes: number, every: Duration.Input) => (body: Stream.Stream<Uint8Array, unknown>) =>
  body.pipe(
    Stream.flatMap((chunk) =>
      Stream.fromIterable(
        Array.from({ length: Math.ceil(chunk.length / bytes) }, (_, i) => chunk.subarray(i * bytes, (i + 1) * bytes))
      )
    ),
    Stream.rechunk(1),
    Stream.tap(() => Effect.sleep(every))
  )

const apply = <E, R>(fault: Fault, answer: Answer<E, R>): Answer<E, R | HttpServerRequest.HttpServerRequest> => {
  switch (fault._tag) {
    case "Latency":
      return Effect.delay(answer, fault.duration)
    case "Reset":
      return Effect.flatMap(answer, (response) =>
        Effect.map(HttpServerRequest.HttpServerRequest, (request) => {
          const reset = Effect.provideService(broken, HttpServerRequest.HttpServerRequest, request)
          return withBody(response, Stream.concat(take(fault.afterBytes)(bodyOf(response)), Stream.fromEffect(reset)))
        })
      )
    case "ResetUpload":
      return Effect.provideService(answer, UploadBreak, fault.afterBytes)
    case "ShortBody":
      return Effect.map(answer, (response) =>
        withBody(response, take(fault.bytes)(bodyOf(response)), String(fault.bytes))
      )
    case "WholeForRange":
      return Effect.updateService(answer, HttpServerRequest.HttpServerRequest, (request) =>
        request.modify({ headers: Headers.remove(request.headers, "range") })
      )
    case "WrongContentRange":
      return Effect.map(answer, HttpServerResponse.setHeader("content-range", fault.contentRange))
    case "WrongBytes":
      return Effect.map(answer, (response) =>
        withBody(
          response,
          Stream.map(bodyOf(response), (chunk) => chunk.map((byte) => byte ^ 0xff))
        )
      )
    case "SlowDrip":
      return Effect.map(answer, (response) => withBody(response, inDrops(fault.bytes, fault.every)(bodyOf(response))))
    case "Status":
      return Effect.succeed(HttpServerResponse.empty({ status: fault.status, headers: fault.headers ?? {} }))
    case "Redirect":
      return Effect.map(HttpServerRequest.HttpServerRequest, ({ url }) =>
        HttpServerResponse.empty({ status: 307, headers: { location: `${fault.origin}${url}${fault.query ?? ""}` } })
      )
    case "NoDigestHeader":
      return Effect.map(answer, HttpServerResponse.removeHeader("docker-content-digest"))
  }
}

const matches = (
  { method, path, ranged }: FaultRule,
  request: { readonly method: string; readonly url: string; readonly headers: Readonly<Record<string, string>> }
): boolean =>
  (method === undefined || method === request.method) &&
  (path === undefined || path.test(request.url)) &&
  (ranged === undefined || ranged === (request.headers["range"] !== undefined))

/** Does to answers what the rules say; of several rules for a request, all. */
export const makeFaults = (rules: ReadonlyArray<FaultRule>) => {
  const counted = rules.map((rule) => ({ rule, seen: 0 }))
  return <E, R>(answer: Answer<E, R>): Answer<E, R | HttpServerRequest.HttpServerRequest> =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
      let faulty: Answer<E, R | HttpServerRequest.HttpServerRequest> = answer
      for (const entry of counted) {
        const { rule } = entry
        if (!matches(rule, request)) continue
        const number = entry.seen++
        const { after = 0, times = Number.POSITIVE_INFINITY } = rule
        if (number >= after && number < after + times) faulty = apply(rule.fault, faulty)
      }
      return faulty
    })
}

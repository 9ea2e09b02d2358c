/**
 * The embedded registry: a request becomes a route, waits for the latency that was asked for, and is answered from the store.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { Cause, Duration, Effect, Layer } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer, type Server } from "node:http"
import { createServer as createTlsServer } from "node:https"
import { ContentStore } from "../services/ContentStore.ts"
import { EmbeddedRegistry, EmbeddedRegistryFailed } from "../services/EmbeddedRegistry.ts"
import { refusal, refused } from "./embedded/answer.ts"
import { serveBlob } from "./embedded/blobRoutes.ts"
import { acceptManifest, listReferrers, listTags, serveManifest } from "./embedded/manifestRoutes.ts"
import { type FaultRule, makeFaults } from "./embedded/faults.ts"
import { parseRoute, type Route } from "./embedded/route.ts"
import { makeTraffic, type Traffic } from "./embedded/traffic.ts"
import { makeUploads, type UploadLimits, type Uploads } from "./embedded/uploads.ts"

export interface EmbeddedRegistryOptions {
  /** The port to listen on; by default a free one. */
  readonly port?: number
  /** Time that passes before each answer, as it does in a network. */
  readonly latency?: Duration.Input
  /** Whether there is a referrers API; without it clients enter referrers by tag. */
  readonly referrersApi?: boolean
  readonly uploads?: Partial<UploadLimits>
  /** What it does wrong. */
  readonly faults?: ReadonlyArray<FaultRule>
  /** Certificate and key as PEM: it speaks TLS then; with `clientAuthority` only to clients with a certificate from there. */
  readonly tls?: { readonly certificate: string; readonly key: string; readonly clientAuthority?: string }
}

const timeouts = { requestTimeout: 0, headersTimeout: 60_000 }

const listener = (tls: EmbeddedRegistryOptions["tls"]): Server =>
  tls === undefined
    ? createServer(timeouts)
    : createTlsServer({
        ...timeouts,
        cert: tls.certificate,
        key: tls.key,
        ...(tls.clientAuthority === undefined
          ? {}
          : { ca: tls.clientAuthority, requestCert: true, rejectUnauthorized: true })
      })

const address = "127.0.0.1"
const defaultUploads: UploadLimits = { blobBytes: 64 * 1024 ** 3, sessions: 256 }

export const layer = (
  options: EmbeddedRegistryOptions = {}
): Layer.Layer<EmbeddedRegistry, EmbeddedRegistryFailed, ContentStore> => Layer.effect(EmbeddedRegistry, make(options))

interface Handlers {
  readonly store: ContentStore["Service"]
  readonly traffic: Traffic
  readonly uploads: Uploads
  readonly referrersApi: boolean
}

const make = Effect.fnUntraced(function* (options: EmbeddedRegistryOptions) {
  const { referrersApi = true, latency = 0 } = options
  const store = yield* ContentStore
  const traffic = makeTraffic()
  const uploads = yield* makeUploads(store, traffic, { ...defaultUploads, ...options.uploads })
  const withFaults = makeFaults(options.faults ?? [])
  const handlers = { store, traffic, uploads, referrersApi }

  const answer = Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    yield* traffic.count("requests")
    const url = new URL(request.url, "http://registry")
    const route = parseRoute(url.pathname)
    yield* Effect.sleep(latency)
    return yield* withFaults(dispatch(handlers, route, url.searchParams))
  }).pipe(
    Effect.catchTag("Refused", (error) => Effect.succeed(refusal(error))),
    Effect.tapCause((cause) => (Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logWarning(cause))),
    Effect.catch((error) => Effect.succeed(refusal(refused("INTERNAL", error.message))))
  )

  // A large blob may take its time; what is idle is closed by the clients and with the scope.
  const server = listener(options.tls)
  server.on(options.tls === undefined ? "connection" : "secureConnection", () => traffic.countNow("connections"))
  const failed = (cause: unknown) => new EmbeddedRegistryFailed({ address: `${address}:${options.port ?? 0}`, cause })
  const http = yield* NodeHttpServer.make(() => server, { host: address, port: options.port ?? 0 }).pipe(
    Effect.mapError(failed)
  )
  // Handlers run uninterruptible unless they say otherwise: a client that leaves must end its request, and so must the scope.
  yield* http.serve(Effect.interruptible(answer))
  yield* Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))

  const bound = server.address()
  if (bound === null || typeof bound === "string") return yield* failed(new Error("the server has no port"))
  return EmbeddedRegistry.of({ host: `${address}:${bound.port}`, stats: traffic.current })
})

const dispatch = Effect.fnUntraced(function* (
  { store, traffic, uploads, referrersApi }: Handlers,
  route: ReturnType<typeof parseRoute>,
  query: URLSearchParams
) {
  const { method } = yield* HttpServerRequest.HttpServerRequest
  const reads = method === "GET" || method === "HEAD"
  if (route === undefined) return yield* refused("NAME_UNKNOWN", "there is nothing at this path")
  if (typeof route === "string") return yield* refused(route, "the path is not what the specification allows")
  switch (route._tag) {
    case "Base":
      return HttpServerResponse.jsonUnsafe({}, { headers: { "docker-distribution-api-version": "registry/2.0" } })
    case "Blob":
      return yield* serveBlob(store, traffic, route.digest)
    case "Manifest":
      if (method === "PUT") return yield* acceptManifest(store, traffic, route, referrersApi)
      return reads ? yield* serveManifest(store, traffic, route) : yield* unsupported(route, method)
    case "Tags":
      return reads ? yield* listTags(store, route.repository, query) : yield* unsupported(route, method)
    case "Referrers":
      if (!referrersApi) return yield* refused("NAME_UNKNOWN", "there is no referrers API here")
      return reads ? yield* listReferrers(store, route.subject, query) : yield* unsupported(route, method)
    case "Uploads":
      return method === "POST" ? yield* uploads.start(route.repository, query) : yield* unsupported(route, method)
    case "Upload":
      return yield* uploads.proceed(route.repository, route.session, query)
  }
})

const unsupported = ({ _tag }: Route, method: string) =>
  Effect.fail(refused("UNSUPPORTED", `${method} is not supported for ${_tag.toLowerCase()}`))

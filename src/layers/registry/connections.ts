/**
 * Pools of connections: one for each kind of TLS and each proxy, kept while it is used and a minute longer.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, RcMap, type Scope } from "effect"
import { HttpClient, type HttpClientError } from "effect/http"
import * as tls from "node:tls"
import { ExchangeFailed } from "./exchangeFailed.ts"
import type { TlsMaterial } from "./registryEndpoint.ts"
import type { RegistrySettings } from "./registryOptions.ts"

/** How a server is reached. Compared by value. */
export interface Way {
  /** `undefined`: without TLS. */
  readonly tls: TlsMaterial | undefined
  readonly proxy: string | undefined
}

/** Its transfers end with the scope they began in. */
type ScopedClient = HttpClient.HttpClient.With<HttpClientError.HttpClientError, Scope.Scope>

export type Connections = (way: Way) => Effect.Effect<ScopedClient, ExchangeFailed, Scope.Scope>

/** What an operator adds to the system's certificates counts, as it does for Go's programs. */
const trusted = (authorities: ReadonlyArray<string>): Array<string> => [
  ...new Set([...tls.getCACertificates("default"), ...tls.getCACertificates("system"), ...authorities])
]

const unusable = (what: string) => (cause: unknown) =>
  new ExchangeFailed({
    // The cause of a bad key may quote it.
    reason: `${what} cannot be used${cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : ""}`,
    transient: false
  })

/** Made once for each pool: reading all authorities again for each connection would take longer than its handshake. */
const secureContext = ({ authorities, clients }: TlsMaterial) =>
  Effect.try({
    try: () =>
      tls.createSecureContext({
        ca: trusted(authorities),
        ...(clients.length === 0
          ? {}
          : { cert: clients.map(({ certificate }) => certificate), key: clients.map(({ key }) => key) })
      }),
    catch: unusable("the certificates and keys for this registry")
  })

const tlsOptions = Effect.fnUntraced(function* (material: TlsMaterial) {
  return {
    secureContext: yield* secureContext(material),
    rejectUnauthorized: !material.skipVerify,
    ...(material.serverName === undefined ? {} : { servername: material.serverName })
  }
})

/** Loaded with the first request: commands that ask no registry start without it. */
const loadUndici = Effect.promise(() => import("undici"))

const makeDispatcher = Effect.fnUntraced(function* (settings: RegistrySettings, { tls: material, proxy }: Way) {
  const { Agent, ProxyAgent } = yield* loadUndici
  const connect = {
    timeout: settings.connectTimeoutMillis,
    ...(material === undefined ? {} : yield* tlsOptions(material))
  }
  // Both kinds of slots, so that none of ours waits inside the pool where no deadline sees it.
  const pool = { connections: 2 * settings.requestsPerHost, allowH2: false }
  const make =
    proxy === undefined
      ? Effect.sync(() => new Agent({ ...pool, connect }))
      : Effect.try({
          try: () =>
            new ProxyAgent({ ...pool, uri: proxy, requestTls: connect, proxyTls: { timeout: connect.timeout } }),
          catch: unusable("the proxy of the environment")
        })
  return yield* Effect.acquireRelease(make, (dispatcher) => Effect.promise(() => dispatcher.destroy()))
})

export const makeConnections = Effect.fnUntraced(function* (settings: RegistrySettings) {
  const pools = yield* RcMap.make({
    lookup: (way: Way) =>
      Effect.flatMap(makeDispatcher(settings, way), (dispatcher) =>
        Effect.provideService(NodeHttpClient.makeUndici, NodeHttpClient.Dispatcher, dispatcher)
      ),
    idleTimeToLive: "1 minute"
  })
  return ((way) => Effect.map(RcMap.get(pools, way), HttpClient.withScope)) satisfies Connections
})

/**
 * Registries over HTTP. The parts are in `registry/`: one request (`exchange`), when it is repeated (`retryPolicy`), what it must
 * show (`authorization`), where it leads (`endpointClient`, `registryClient`), and what the operations make of it.
 */
import { Effect, Layer } from "effect"
import { RegistryFetcher } from "../services/RegistryFetcher.ts"
import { makeAuthorization } from "./registry/authorization.ts"
import { makeExists, makeFetch } from "./registry/blobs.ts"
import { dockerCredentials } from "./registry/dockerCredentials.ts"
import { makeFetchManifest, makeResolve } from "./registry/documents.ts"
import { makeEndpointClient } from "./registry/endpointClient.ts"
import { makeEndpoints } from "./registry/endpoints.ts"
import { makeSend } from "./registry/exchange.ts"
import { makePlainDetection } from "./registry/plainDetection.ts"
import { makePush } from "./registry/pushBlob.ts"
import { makePushManifest } from "./registry/pushManifest.ts"
import { makeReferrers } from "./registry/referrers.ts"
import { makeRegistryClient } from "./registry/registryClient.ts"
import { type RegistryOptions, settingsOf } from "./registry/registryOptions.ts"
import { makeOpen } from "./registry/remoteRanges.ts"

export const layer = (options: RegistryOptions = {}): Layer.Layer<RegistryFetcher> =>
  Layer.effect(
    RegistryFetcher,
    Effect.gen(function* () {
      const settings = settingsOf(options)
      const send = yield* makeSend(settings)
      const credentials = settings.credentials ?? dockerCredentials(settings.dockerConfigDirectory)
      const authorization = yield* makeAuthorization(send, settings, credentials)
      const server = makeEndpointClient(send, authorization, yield* makePlainDetection)
      const client = makeRegistryClient(settings, server, makeEndpoints(settings))
      const exists = makeExists(client)
      return RegistryFetcher.of({
        resolve: makeResolve(client),
        fetchManifest: makeFetchManifest(client),
        fetch: makeFetch(client),
        open: makeOpen(client),
        exists,
        push: makePush(client, exists),
        pushManifest: makePushManifest(client),
        referrers: makeReferrers(client)
      })
    })
  )

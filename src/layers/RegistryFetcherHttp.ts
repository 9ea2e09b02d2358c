/**
 * Registries over HTTP. The parts are in `registry/`: one request (`exchange`), when it is repeated (`retryPolicy`), what it must
 * show (`authorization`), where it leads (`registryClient`), and what the operations make of it.
 */
import { Effect, Layer, Option } from "effect"
import { RegistryFetcher } from "../services/RegistryFetcher.ts"
import { makeAuthorization } from "./registry/authorization.ts"
import { makeExists, makeFetch, makePush } from "./registry/blobs.ts"
import { type CredentialSource, dockerCredentials, parseUser } from "./registry/dockerCredentials.ts"
import { makeFetchManifest, makeResolve } from "./registry/documents.ts"
import { makeSend } from "./registry/exchange.ts"
import { makePushManifest, makeReferrers } from "./registry/referrers.ts"
import { makeRegistryClient } from "./registry/registryClient.ts"
import { type RegistryOptions, type RegistrySettings, settingsOf } from "./registry/registryOptions.ts"
import { makeOpen } from "./registry/remoteRanges.ts"

const credentialsOf = ({ user, dockerConfigDirectory }: RegistrySettings): CredentialSource => {
  if (user === undefined) return dockerCredentials(dockerConfigDirectory)
  const credential = parseUser(user)
  return () => Effect.succeed(Option.some(credential))
}

export const layer = (options: RegistryOptions = {}): Layer.Layer<RegistryFetcher> =>
  Layer.effect(
    RegistryFetcher,
    Effect.gen(function* () {
      const settings = settingsOf(options)
      const send = yield* makeSend(settings)
      const authorization = yield* makeAuthorization(send, settings, credentialsOf(settings))
      const client = makeRegistryClient(send, settings, authorization)
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

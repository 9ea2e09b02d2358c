/**
 * The fetcher as tests use it: no credentials of the machine, short waits.
 */
import { Context, Effect, Layer } from "effect"
import * as RegistryFetcherHttp from "../../src/layers/RegistryFetcherHttp.ts"
import type { RegistryOptions } from "../../src/layers/registry/registryOptions.ts"
import { RegistryFetcher } from "../../src/services/RegistryFetcher.ts"

export const registryFetcher = (options: RegistryOptions = {}) =>
  Effect.map(
    Layer.build(
      RegistryFetcherHttp.layer({
        dockerConfigDirectory: "/nonexistent",
        retryMinDelay: 1,
        retryMaxDelay: 20,
        retries: 3,
        ...options
      })
    ),
    (built) => Context.get(built, RegistryFetcher)
  )

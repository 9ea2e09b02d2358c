/**
 * Which layers talk to registries for commands, as their flags say.
 */
import { Context, Effect, Layer, Option, type Redacted } from "effect"
import * as GraphPusherLive from "../layers/GraphPusherLive.ts"
import * as ImageSourceLive from "../layers/ImageSourceLive.ts"
import { registryOptionsFromFlags } from "../layers/registry/registryFlags.ts"
import * as RegistryFetcherHttp from "../layers/RegistryFetcherHttp.ts"
import { GraphPusher } from "../services/GraphPusher.ts"
import { ImageSource } from "../services/ImageSource.ts"
import { RegistryFetcher } from "../services/RegistryFetcher.ts"
import { Debug } from "./cli/globalFlags.ts"

export interface RegistryFlags {
  readonly plainHttp: boolean
  readonly user: Option.Option<Redacted.Redacted<string>>
  readonly skipVerify: boolean
  /** Paths; empty where they were not given. */
  readonly hostsDir: string
  readonly tlscacert: string
  readonly tlscert: string
  readonly tlskey: string
  readonly httpDump: boolean
  readonly httpTrace: boolean
  /** The only host that `user` is for, where a command talks to several. */
  readonly userHost?: string | undefined
}

/** Registries, and what pushes to them and finds images in them, as long as the scope is open. `trace` gets the lines of `--debug`. */
export const openRegistries = Effect.fnUntraced(function* (
  flags: RegistryFlags,
  trace: (line: string) => Effect.Effect<void>
) {
  const user = Option.getOrUndefined(flags.user)
  const httpTrace = flags.httpTrace || (yield* Debug)
  const options = yield* Effect.fromResult(registryOptionsFromFlags({ ...flags, user, httpTrace }, trace))
  const built = yield* Layer.build(
    Layer.mergeAll(GraphPusherLive.layer, ImageSourceLive.layer).pipe(
      Layer.provideMerge(RegistryFetcherHttp.layer(options))
    )
  )
  return {
    registry: Context.get(built, RegistryFetcher),
    pusher: Context.get(built, GraphPusher),
    images: Context.get(built, ImageSource)
  }
})

export type Registries = Effect.Success<ReturnType<typeof openRegistries>>

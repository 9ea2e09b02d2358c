/**
 * Which layers serve the commands that mount images.
 */
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Layer, Path } from "effect"
import * as ArtifactSourceLive from "../layers/ArtifactSourceLive.ts"
import * as BackgroundFetcherLive from "../layers/BackgroundFetcherLive.ts"
import * as FuseDriverKernel from "../layers/FuseDriverKernel.ts"
import * as ImageMounterLive from "../layers/ImageMounterLive.ts"
import * as ImageSourceLive from "../layers/ImageSourceLive.ts"
import * as LayerMounterLive from "../layers/LayerMounterLive.ts"
import * as LayerReaderLive from "../layers/LayerReaderLive.ts"
import * as OverlayMounterLive from "../layers/OverlayMounterLive.ts"
import type { RegistryOptions } from "../layers/registry/registryOptions.ts"
import * as RegistryFetcherHttp from "../layers/RegistryFetcherHttp.ts"
import * as SpanStoreFile from "../layers/SpanStoreFile.ts"
import type { QuotaOptions } from "../layers/spans/SpanQuota.ts"
import { inflater, ztocBuilder } from "./inflaterChoice.ts"

export interface MountServicesOptions {
  readonly root: string
  /** How registries are talked to; without TLS only on loopback, with the credentials of docker's configuration. */
  readonly registry?: RegistryOptions
  /** Keeps what was fetched, below the root, for later mounts; without it everything goes with the mount. */
  readonly keep?: QuotaOptions
}

/** What a command has on disk for itself lies in a directory of its own and goes with it. */
const workingDirectory = (root: string) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const parent = path.join(root, "mount")
    yield* fs.makeDirectory(parent, { recursive: true, mode: 0o700 })
    return yield* fs.makeTempDirectoryScoped({ directory: parent, prefix: `${process.pid}-` })
  })

/** Whoever asks for a layer to be filled wants it soon. */
const filling = { fetchPeriod: 0 }

const mounters = (directory: string, { root, keep }: MountServicesOptions) => {
  const spans = SpanStoreFile.layer(
    keep === undefined ? { directory: `${directory}/spans` } : { directory: `${root}/spans`, keep }
  ).pipe(Layer.provide(inflater))
  const layerMounter = LayerMounterLive.layer({ runDirectory: `${directory}/run` }).pipe(
    Layer.provide(FuseDriverKernel.layer())
  )
  return ImageMounterLive.layer({ directory: `${directory}/images` }).pipe(
    Layer.provide([
      Layer.mergeAll(LayerReaderLive.layer, BackgroundFetcherLive.layer(filling)).pipe(Layer.provide(spans)),
      layerMounter,
      OverlayMounterLive.layer,
      ztocBuilder
    ])
  )
}

export const mountServices = (options: MountServicesOptions) => {
  const registry = RegistryFetcherHttp.layer(options.registry)
  return Layer.mergeAll(
    ArtifactSourceLive.layer,
    ImageSourceLive.layer.pipe(Layer.provide(registry)),
    Layer.unwrap(Effect.map(workingDirectory(options.root), (directory) => mounters(directory, options))).pipe(
      Layer.provide(NodeServices.layer)
    )
  )
}

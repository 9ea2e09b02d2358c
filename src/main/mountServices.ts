/**
 * Which layers serve the commands that mount images.
 */
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Layer, Option, Path, type Redacted } from "effect"
import * as ArtifactSourceLive from "../layers/ArtifactSourceLive.ts"
import * as FuseDriverKernel from "../layers/FuseDriverKernel.ts"
import * as ImageMounterLive from "../layers/ImageMounterLive.ts"
import * as ImageSourceLive from "../layers/ImageSourceLive.ts"
import * as LayerMounterLive from "../layers/LayerMounterLive.ts"
import * as LayerReaderLive from "../layers/LayerReaderLive.ts"
import * as OverlayMounterLive from "../layers/OverlayMounterLive.ts"
import * as RegistryFetcherHttp from "../layers/RegistryFetcherHttp.ts"
import * as SpanStoreFile from "../layers/SpanStoreFile.ts"
import { inflater, ztocBuilder } from "./inflaterChoice.ts"

export interface MountServicesOptions {
  readonly root: string
  readonly plainHttp: boolean
  readonly user: Option.Option<Redacted.Redacted<string>>
}

/** Everything one command keeps on disk lies in a directory of its own and goes with it. */
const workingDirectory = (root: string) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const parent = path.join(root, "mount")
    yield* fs.makeDirectory(parent, { recursive: true, mode: 0o700 })
    return yield* fs.makeTempDirectoryScoped({ directory: parent, prefix: `${process.pid}-` })
  })

const mounters = (directory: string) => {
  const spans = SpanStoreFile.layer({ directory: `${directory}/spans` }).pipe(Layer.provide(inflater))
  const layerMounter = LayerMounterLive.layer({ runDirectory: `${directory}/run` }).pipe(
    Layer.provide(FuseDriverKernel.layer())
  )
  return ImageMounterLive.layer({ directory: `${directory}/images` }).pipe(
    Layer.provide([
      LayerReaderLive.layer.pipe(Layer.provide(spans)),
      layerMounter,
      OverlayMounterLive.layer,
      ztocBuilder
    ])
  )
}

export const mountServices = (options: MountServicesOptions) => {
  const { user } = options
  const registry = RegistryFetcherHttp.layer({
    plainHttp: options.plainHttp ? true : "loopback",
    ...(Option.isSome(user) ? { user: user.value } : {})
  })
  return Layer.mergeAll(
    ArtifactSourceLive.layer,
    ImageSourceLive.layer.pipe(Layer.provide(registry)),
    Layer.unwrap(Effect.map(workingDirectory(options.root), mounters)).pipe(Layer.provide(NodeServices.layer))
  )
}

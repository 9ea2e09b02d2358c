/**
 * The first minute: makes an image of this machine's files, indexes it, pushes it to a registry of our own, mounts it lazily and runs a
 * program from it; then pulls it whole for comparison. Everything is removed at the end, also after Ctrl-C and failures.
 *
 *   npm run demo [-- --latency 25 --mount-mode auto|erofs|fuse]
 */
import { NodeServices } from "@effect/platform-node"
import { Console, Duration, Effect, FileSystem, Layer, Path } from "effect"
import { Command, Flag } from "effect/cli"
import { fileURLToPath } from "node:url"
import * as ArtifactsDbSqlite from "../layers/ArtifactsDbSqlite.ts"
import * as ContentStoreLayout from "../layers/ContentStoreLayout.ts"
import * as EmbeddedRegistryHttp from "../layers/EmbeddedRegistry.ts"
import * as GraphPusherLive from "../layers/GraphPusherLive.ts"
import * as ImageSourceLive from "../layers/ImageSourceLive.ts"
import * as IndexBuilderLive from "../layers/IndexBuilderLive.ts"
import * as RegistryFetcherHttp from "../layers/RegistryFetcherHttp.ts"
import * as UnpackerDirectory from "../layers/UnpackerDirectory.ts"
import * as ZtocBuilderWorkers from "../layers/ZtocBuilderWorkers.ts"
import { EmbeddedRegistry } from "../services/EmbeddedRegistry.ts"
import { makeImage } from "./demo/makeImage.ts"
import { fullRun, lazyRun, type Measured } from "./demo/measure.ts"
import { formatBytes, formatSeconds, formatShare, formatTable, progressOn } from "./demo/progress.ts"
import { indexAndPush, pushPlain } from "./demo/publish.ts"
import { mountServices } from "./mountServices.ts"
import { runProgram } from "./runProgram.ts"
import { version } from "./version.ts"

const project = fileURLToPath(new URL("../../", import.meta.url)).replace(/\/$/, "")
const progress = progressOn(process.stderr)

const registryServices = RegistryFetcherHttp.layer()

/** Work on the registry: the image's own layout, then the store for what is built. */
const publishServices = (store: string) =>
  Layer.mergeAll(IndexBuilderLive.layer, GraphPusherLive.layer, ImageSourceLive.layer).pipe(
    Layer.provideMerge(ContentStoreLayout.layer({ root: store })),
    Layer.provide([
      ArtifactsDbSqlite.layer({ path: `${store}.artifacts.sqlite` }),
      ZtocBuilderWorkers.layer,
      registryServices
    ])
  )

const report = (
  image: { readonly size: number; readonly uncompressedSize: number; readonly layers: number },
  index: { readonly size: number; readonly buildMilliseconds: number },
  lazy: Measured,
  full: Measured
): string =>
  formatTable([
    [
      "image",
      `${formatBytes(image.size)} compressed, ${formatBytes(image.uncompressedSize)} uncompressed, ${image.layers} layers`
    ],
    [
      "SOCI index",
      `${formatBytes(index.size)} (${formatShare(index.size, image.size)} of the image), built in ${formatSeconds(index.buildMilliseconds)}`
    ]
  ]) +
  "\n\n" +
  formatTable([
    ["", `lazy mount (${lazy.modes})`, "full download and unpack"],
    ["ready to run", formatSeconds(lazy.readyMilliseconds), formatSeconds(full.readyMilliseconds)],
    ["first output", formatSeconds(lazy.outputMilliseconds), formatSeconds(full.outputMilliseconds)],
    [
      "fetched by then",
      `${formatBytes(lazy.fetchedBytes)} (${formatShare(lazy.fetchedBytes, image.size)})`,
      `${formatBytes(full.fetchedBytes)} (${formatShare(full.fetchedBytes, image.size)})`
    ]
  ])

const demo = Command.make(
  "demo",
  {
    latency: Flag.Int("latency").pipe(
      Flag.withDescription("Milliseconds that pass before each answer of the registry, as in a network"),
      Flag.withDefault(0)
    ),
    mountMode: Flag.Literals("mount-mode", ["auto", "erofs", "fuse"]).pipe(Flag.withDefault("auto"))
  },
  Effect.fnUntraced(function* ({ latency, mountMode }) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const directory = yield* fs.makeTempDirectoryScoped({ prefix: "soci-demo-" })
    const inside = (name: string) => path.join(directory, name)

    yield* progress.say("making an image from files of this machine ...")
    const imageStore = ContentStoreLayout.layer({ root: inside("image") })
    const image = yield* Effect.provide(makeImage(project, directory), imageStore)
    yield* progress.say(`  ${formatBytes(image.size)} in ${image.layers} layers`)

    const registry = EmbeddedRegistryHttp.layer({ latency: Duration.millis(latency) }).pipe(
      Layer.provide(ContentStoreLayout.layer({ root: inside("registry") }))
    )
    yield* Effect.gen(function* () {
      const { host } = yield* EmbeddedRegistry
      yield* progress.say(`pushing it to a registry on ${host} ...`)
      yield* Effect.provide(pushPlain(host, image.target, progress), publishServices(inside("image")))
      yield* progress.say("building and pushing its SOCI indexes ...")
      const index = yield* Effect.provide(indexAndPush(host, image.size, progress), publishServices(inside("built")))

      yield* progress.say("mounting it lazily and running Node from it ...")
      const mountPoint = inside("rootfs")
      yield* fs.makeDirectory(mountPoint)
      const services = mountServices({ root: inside("local") })
      const lazy = yield* lazyRun({ host, mountPoint, mode: mountMode }).pipe(Effect.provide(services))
      yield* progress.say(`  ${lazy.output}`)

      yield* progress.say("downloading and unpacking it whole, for comparison ...")
      const full = yield* fullRun({ host, directory: inside("unpacked") }).pipe(
        Effect.provide([ImageSourceLive.layer.pipe(Layer.provide(registryServices)), UnpackerDirectory.layer])
      )
      yield* progress.say(`  ${full.output}`)
      yield* Console.log(`\n${report(image, index, lazy, full)}`)
    }).pipe(Effect.provide(registry))
  }, Effect.scoped)
).pipe(Command.withDescription("Show lazy loading on an image made of this machine's files"))

runProgram("demo", Command.run(demo, { version }).pipe(Effect.provide(NodeServices.layer)))

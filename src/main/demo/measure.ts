/**
 * Runs the demo's program twice: from the lazily mounted image, and from one that was downloaded and unpacked first.
 */
import { Effect, FileSystem, Option } from "effect"
import { mountDevices } from "../../layers/deviceDirectory.ts"
import { hostPlatform } from "../../layers/hostPlatform.ts"
import { resolvePlatform } from "../../layers/resolvePlatform.ts"
import { runInRootfs } from "../../layers/runInRootfs.ts"
import { EmbeddedRegistry } from "../../services/EmbeddedRegistry.ts"
import { formatImageName } from "../../services/ImageName.ts"
import { ImageSource } from "../../services/ImageSource.ts"
import type { MountMode } from "../../services/LayerMounter.ts"
import { CommandRefused } from "../commandFailure.ts"
import type { ImageOptions } from "../commands/imageFlags.ts"
import { mountImage } from "../commands/mountImage.ts"
import { fullUnpack } from "./fullUnpack.ts"
import { inImage } from "./makeImage.ts"
import { convertedImage, plainImage } from "./publish.ts"

export interface Measured {
  readonly readyMilliseconds: number
  readonly outputMilliseconds: number
  /** Bytes of layers, ztocs and indexes the registry had served at the first output. */
  readonly fetchedBytes: number
  readonly output: string
  /** How it was mounted, or empty. */
  readonly modes: string
}

const program = [`/${inImage.node}`, "-p", "`Node ${process.version} runs from this image, pid ${process.pid}`"]

/** From `started` to the first byte the program writes. */
const firstOutput = Effect.fnUntraced(function* (rootfs: string, started: number) {
  const registry = yield* EmbeddedRegistry
  const before = yield* registry.stats
  let milliseconds: number | undefined
  let output = ""
  yield* mountDevices(rootfs)
  const code = yield* runInRootfs({
    rootfs,
    command: program,
    environment: { PATH: "/usr/local/bin:/usr/bin:/bin" },
    workingDirectory: "/",
    onOutput: (bytes) => {
      milliseconds ??= performance.now() - started
      output += Buffer.from(bytes).toString()
    }
  })
  if (code !== 0 || milliseconds === undefined) {
    return yield* new CommandRefused({
      reason: `the program in the image ended with code ${code} and wrote "${output}"`
    })
  }
  const after = yield* registry.stats
  return {
    outputMilliseconds: milliseconds,
    output: output.trim(),
    servedBytes: after.blobBytesServed - before.blobBytesServed
  }
})

export const lazyRun = Effect.fn("demo.lazyRun")(function* (options: {
  readonly host: string
  readonly mountPoint: string
  readonly mode: MountMode
}) {
  const registry = yield* EmbeddedRegistry
  const before = yield* registry.stats
  const imageOptions: ImageOptions = {
    image: formatImageName(convertedImage(options.host)),
    platform: Option.none(),
    mountMode: options.mode,
    writable: false,
    indexDigest: Option.none(),
    build: false,
    fill: false
  }
  const started = performance.now()
  const { mounted } = yield* mountImage(imageOptions, options.mountPoint)
  const readyMilliseconds = performance.now() - started
  const ready = yield* registry.stats
  const { servedBytes, ...first } = yield* firstOutput(options.mountPoint, started)
  const modes = [...new Set(mounted.layers.map(({ mount }) => mount.mode))].join(", ")
  const fetchedBytes = ready.blobBytesServed - before.blobBytesServed + servedBytes
  const measured: Measured = { readyMilliseconds, fetchedBytes, modes, ...first }
  return measured
}, Effect.scoped)

export const fullRun = Effect.fn("demo.fullRun")(function* (options: {
  readonly host: string
  readonly directory: string
}) {
  const fs = yield* FileSystem.FileSystem
  const registry = yield* EmbeddedRegistry
  const before = yield* registry.stats
  yield* Effect.acquireRelease(fs.makeDirectory(options.directory), () =>
    Effect.orDie(fs.remove(options.directory, { recursive: true }))
  )
  const started = performance.now()
  const image = yield* ImageSource.use((source) => source.find(plainImage(options.host)))
  const manifest = yield* resolvePlatform(image, hostPlatform)
  yield* fullUnpack(image, manifest, options.directory)
  const readyMilliseconds = performance.now() - started
  const ready = yield* registry.stats
  const { servedBytes, ...first } = yield* Effect.scoped(firstOutput(options.directory, started))
  const fetchedBytes = ready.blobBytesServed - before.blobBytesServed + servedBytes
  const measured: Measured = { readyMilliseconds, fetchedBytes, modes: "", ...first }
  return measured
}, Effect.scoped)

/**
 * What `soci mount` and `soci run` have in common: the image is found, with its index, and mounted.
 */
import { Effect, Option } from "effect"
import { hostPlatform } from "../../layers/hostPlatform.ts"
import { resolvePlatform } from "../../layers/resolvePlatform.ts"
import { ArtifactSource, type PlatformManifest } from "../../services/ArtifactSource.ts"
import type { Platform } from "../../services/Descriptor.ts"
import { ImageMounter } from "../../services/ImageMounter.ts"
import { formatImageName, parseImageName } from "../../services/ImageName.ts"
import { ImageSource, PlatformNotInImage, type SourceImage } from "../../services/ImageSource.ts"
import { decodeImageConfig } from "../../streams/codec/imageDocuments.ts"
import { formatPlatform, matchesPlatform, parsePlatform } from "../../streams/codec/platform.ts"
import { CommandRefused } from "../commandFailure.ts"
import type { ImageOptions } from "./imageFlags.ts"

/** A single manifest is found whatever platform was asked for: its configuration tells what it is for. */
const requirePlatform = Effect.fnUntraced(function* (image: SourceImage, manifest: PlatformManifest, wanted: Platform) {
  const { config: descriptor } = manifest.manifest
  const config = yield* Effect.fromResult(decodeImageConfig(yield* image.readDocument(descriptor), descriptor.digest))
  const { os = "", architecture = "", variant = "" } = config
  const actual: Platform = { os, architecture, ...(variant === "" ? {} : { variant }) }
  if (architecture === "" || matchesPlatform(wanted, actual, hostPlatform)) return config
  return yield* new PlatformNotInImage({
    image: formatImageName(image.name),
    platform: formatPlatform(wanted),
    available: [formatPlatform(actual)]
  })
})

/** Finds the image, its manifest and its index, and mounts it at `mountPoint` until the scope ends. */
export const mountImage = Effect.fnUntraced(function* (options: ImageOptions, mountPoint: string) {
  const name = yield* Effect.fromResult(parseImageName(options.image))
  const platform = yield* Option.match(options.platform, {
    onNone: () => Effect.succeed(hostPlatform),
    onSome: (text) => Effect.fromResult(parsePlatform(text, hostPlatform))
  })
  const image = yield* ImageSource.use((source) => source.find(name))
  const manifest = yield* resolvePlatform(image, platform)
  const config = yield* requirePlatform(image, manifest, platform)
  const indexDigest = Option.getOrUndefined(options.indexDigest)
  const index = yield* ArtifactSource.use((source) => source.find(image, manifest, { indexDigest })).pipe(
    Effect.catchTag("NoIndex", (none) =>
      options.build
        ? Effect.undefined
        : Effect.fail(
            new CommandRefused({
              reason:
                `${none.message}. Build one with \`soci create\` or \`soci convert\` and push it, ` +
                `or give --build to fetch the whole image and index it here`
            })
          )
    )
  )
  const mounted = yield* ImageMounter.use((mounter) =>
    mounter.mount(image, manifest, index, {
      mountPoint,
      mode: options.mountMode,
      writable: options.writable,
      fill: options.fill
    })
  )
  return { config, mounted, index }
})

/** One line that says what was mounted and how. */
export const describeMount = (
  image: string,
  { mounted, index }: Pick<Effect.Success<ReturnType<typeof mountImage>>, "mounted" | "index">
): string => {
  const layers = [...new Set(mounted.layers)]
  const lazy = layers.filter(({ how }) => how === "lazy").length
  const modes = [...new Set(layers.map(({ mount }) => mount.mode))].join(" and ") || "no layers"
  const source = index ? `index ${index.index.descriptor.digest} (${index.origin})` : "indexed here"
  return `mounted ${image} at ${mounted.mountPoint}: ${modes}, ${lazy} of ${layers.length} layers lazy, ${source}`
}

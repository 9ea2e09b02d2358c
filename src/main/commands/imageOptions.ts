/**
 * What `soci mount` and `soci run` have in common: which image, how it is found, and how it is mounted.
 */
import { Effect, Option, type Redacted } from "effect"
import { Argument, Flag } from "effect/cli"
import { hostPlatform } from "../../layers/hostPlatform.ts"
import { resolvePlatform } from "../../layers/resolvePlatform.ts"
import { ArtifactSource, type PlatformManifest } from "../../services/ArtifactSource.ts"
import { Digest, type Platform } from "../../services/Descriptor.ts"
import { ImageMounter } from "../../services/ImageMounter.ts"
import { formatImageName, parseImageName } from "../../services/ImageName.ts"
import { ImageSource, PlatformNotInImage, type SourceImage } from "../../services/ImageSource.ts"
import type { MountMode } from "../../services/LayerMounter.ts"
import { decodeImageConfig } from "../../streams/codec/imageDocuments.ts"
import { formatPlatform, matchesPlatform, parsePlatform } from "../../streams/codec/platform.ts"
import { CommandRefused } from "../commandFailure.ts"

export const imageArgument = Argument.String("image").pipe(
  Argument.withDescription("host/repository:tag, host/repository@sha256:…, or oci-layout:PATH[:TAG|@DIGEST]")
)

export const imageFlags = {
  plainHttp: Flag.Boolean("plain-http").pipe(
    Flag.withDescription("Talk to the registry without TLS (loopback needs no flag)"),
    Flag.withDefault(false)
  ),
  user: Flag.Redacted("user").pipe(
    Flag.withAlias("u"),
    Flag.withDescription("name[:password] for the registry; else docker's configuration is used"),
    Flag.optional
  ),
  platform: Flag.String("platform").pipe(
    Flag.withAlias("p"),
    Flag.withDescription("os/architecture[/variant]; this machine's by default"),
    Flag.optional
  ),
  mountMode: Flag.Literals("mount-mode", ["auto", "erofs", "fuse"]).pipe(
    Flag.withDescription("How layers are mounted: kernel EROFS where possible, or FUSE"),
    Flag.withDefault("auto")
  ),
  writable: Flag.Boolean("writable").pipe(
    Flag.withDescription("Put a writable directory on top; what is written is discarded at the end"),
    Flag.withDefault(false)
  ),
  indexDigest: Flag.String("index-digest").pipe(
    Flag.withDescription("The SOCI index to use, instead of the one found with the image"),
    Flag.withSchema(Digest),
    Flag.optional
  ),
  build: Flag.Boolean("build").pipe(
    Flag.withDescription("Where the image has no SOCI index, fetch its layers whole and index them here"),
    Flag.withDefault(false)
  )
}

export interface ImageOptions {
  readonly image: string
  readonly plainHttp: boolean
  readonly user: Option.Option<Redacted.Redacted<string>>
  readonly platform: Option.Option<string>
  readonly mountMode: MountMode
  readonly writable: boolean
  readonly indexDigest: Option.Option<Digest>
  readonly build: boolean
}

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
    mounter.mount(image, manifest, index, { mountPoint, mode: options.mountMode, writable: options.writable })
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

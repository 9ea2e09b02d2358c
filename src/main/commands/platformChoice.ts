/**
 * Which platforms of an image a command is for (cli spec, section 3), and what is said where there is no such one.
 */
import { Effect } from "effect"
import { hostPlatform } from "../../layers/hostPlatform.ts"
import { imagePlatforms } from "../../layers/imagePlatforms.ts"
import { resolvePlatform } from "../../layers/resolvePlatform.ts"
import type { Platform } from "../../services/Descriptor.ts"
import type { SourceImage } from "../../services/ImageSource.ts"
import { dedupePlatforms, formatPlatform, parsePlatform } from "../../streams/codec/platform.ts"
import { CommandRefused } from "../commandFailure.ts"

export interface PlatformOptions {
  readonly allPlatforms: boolean
  readonly platforms: ReadonlyArray<string>
}

export const readPlatform = (text: string) =>
  Effect.mapError(
    Effect.fromResult(parsePlatform(text, hostPlatform)),
    ({ reason }) => new CommandRefused({ reason: `could not parse platform ${text}: ${reason}` })
  )

/** All of the image, or those that are named, or what `otherwise` says; each once. */
export const choosePlatforms = Effect.fnUntraced(function* <E>(
  image: SourceImage,
  { allPlatforms, platforms }: PlatformOptions,
  otherwise: Effect.Effect<ReadonlyArray<Platform>, E>
) {
  if (allPlatforms) {
    const all = yield* imagePlatforms(image)
    if (all.length > 0) return all
    return yield* new CommandRefused({ reason: "image does not support any platforms" })
  }
  if (platforms.length === 0) return yield* otherwise
  return dedupePlatforms(yield* Effect.forEach(platforms, readPlatform), hostPlatform)
})

/** The image's manifest for a platform; `prefix` stands before the platform where there is none. */
export const platformManifest = (image: SourceImage, platform: Platform, prefix = "") =>
  resolvePlatform(image, platform).pipe(
    Effect.catchTag("PlatformNotInImage", ({ available }) => {
      const has = available.length === 0 ? "" : `; the image has ${available.join(", ")}`
      const reason = `image manifest for ${prefix}${formatPlatform(platform)}: not found${has}`
      return Effect.fail(new CommandRefused({ reason }))
    })
  )

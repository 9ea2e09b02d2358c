/**
 * The flags of the commands that mount an image: which one, how it is found, and how it is mounted.
 */
import { type Option, Schema } from "effect"
import { Argument, Flag } from "effect/cli"
import { Digest } from "../../services/Descriptor.ts"
import type { MountMode } from "../../services/LayerMounter.ts"
import type { RegistryFlags } from "../registryServices.ts"
import { registryFlags } from "./registryFlags.ts"

/** GiB. */
const defaultSpanCache = 16

export const imageArgument = Argument.String("image").pipe(
  Argument.withDescription("host/repository:tag, host/repository@sha256:…, or oci-layout:PATH[:TAG|@DIGEST]")
)

export const imageFlags = {
  ...registryFlags,
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
  ),
  fill: Flag.Boolean("fill").pipe(
    Flag.withDescription("Fetch what nobody has read yet while nobody waits, until no registry is needed"),
    Flag.withDefault(false)
  ),
  spanCache: Flag.Int("span-cache").pipe(
    Flag.withDescription(
      `GiB of disk for what was fetched, kept for later mounts; 0 keeps nothing (default: ${defaultSpanCache})`
    ),
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))),
    Flag.withDefault(defaultSpanCache)
  )
}

/** Which image is mounted, and how. */
export interface ImageOptions {
  readonly image: string
  readonly platform: Option.Option<string>
  readonly mountMode: MountMode
  readonly writable: boolean
  readonly indexDigest: Option.Option<Digest>
  readonly build: boolean
  readonly fill: boolean
}

/** And what its command needs for it. */
export interface MountingOptions extends ImageOptions, RegistryFlags {
  readonly spanCache: number
}

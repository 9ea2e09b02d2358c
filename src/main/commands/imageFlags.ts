/**
 * The flags of the commands that mount an image: which one, how it is found, and how it is mounted.
 */
import type { Option, Redacted } from "effect"
import { Argument, Flag } from "effect/cli"
import { Digest } from "../../services/Descriptor.ts"
import type { MountMode } from "../../services/LayerMounter.ts"

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

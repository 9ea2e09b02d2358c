/**
 * Pulls and unpacks the layers of images ahead of the one who claims them (parallel-pull-unpack spec, section 4).
 *
 * An image job owns its layer jobs: cancelling it cancels all of them and frees what they hold; a layer that fails fails its image with
 * that cause. Downloads and unpacks are limited over all images and for each image.
 */
import { Context, type Effect, Schema, type Scope } from "effect"
import { causeMessage } from "./causeMessage.ts"
import type { PlatformManifest } from "./ArtifactSource.ts"
import { Digest } from "./Descriptor.ts"
import type { SourceImage } from "./ImageSource.ts"

export const LayerUnpackState = Schema.Literals(["InProgress", "Claimed", "Done", "Failed", "Cancelled"])
export type LayerUnpackState = typeof LayerUnpackState.Type

export class ImageUnpackJobNotFound extends Schema.TaggedError<ImageUnpackJobNotFound>()("ImageUnpackJobNotFound", {
  manifest: Digest
}) {
  override get message(): string {
    return `no unpack job for image manifest ${this.manifest}`
  }
}

export class ImageUnpackJobHasNoLayers extends Schema.TaggedError<ImageUnpackJobHasNoLayers>()(
  "ImageUnpackJobHasNoLayers",
  { manifest: Digest }
) {
  override get message(): string {
    return `the unpack job of image manifest ${this.manifest} has no layers`
  }
}

export class ImageUnpackJobExpired extends Schema.TaggedError<ImageUnpackJobExpired>()("ImageUnpackJobExpired", {
  manifest: Digest
}) {
  override get message(): string {
    return `the unpack job of image manifest ${this.manifest} was not claimed in time`
  }
}

export class LayerHasNoJobs extends Schema.TaggedError<LayerHasNoJobs>()("LayerHasNoJobs", { layer: Digest }) {
  override get message(): string {
    return `layer ${this.layer} has no unpack job`
  }
}

export class NoClaimableLayerJobs extends Schema.TaggedError<NoClaimableLayerJobs>()("NoClaimableLayerJobs", {
  layer: Digest
}) {
  override get message(): string {
    return `all unpack jobs of layer ${this.layer} are claimed or cancelled`
  }
}

/** A layer of the image could not be pulled or unpacked. */
export class LayerUnpackFailed extends Schema.TaggedError<LayerUnpackFailed>()("LayerUnpackFailed", {
  manifest: Digest,
  layer: Digest,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `layer ${this.layer} of image manifest ${this.manifest} could not be unpacked: ${causeMessage(this.cause)}`
  }
}

/** A layer unpacked into a directory that the claimer now owns and moves or removes. */
export interface UnpackedLayer {
  readonly layer: Digest
  readonly directory: string
}

export type ClaimError =
  | ImageUnpackJobNotFound
  | ImageUnpackJobHasNoLayers
  | ImageUnpackJobExpired
  | LayerHasNoJobs
  | NoClaimableLayerJobs
  | LayerUnpackFailed

export class UnpackScheduler extends Context.Service<
  UnpackScheduler,
  {
    /** Starts jobs for the layers of an image, or joins those that run; they end with the last scope. */
    start(image: SourceImage, manifest: PlatformManifest): Effect.Effect<void, never, Scope.Scope>
    /** Waits for a layer and takes it: one winner for each job. */
    claim(manifest: Digest, layer: Digest): Effect.Effect<UnpackedLayer, ClaimError>
    /** Cancels an image's job and all below it, at once. */
    cancel(manifest: Digest): Effect.Effect<void, ImageUnpackJobNotFound>
  }
>()("effect-soci/services/UnpackScheduler") {}

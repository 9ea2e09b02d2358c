/**
 * Shows the root file system of an image: every layer lazily where it has a ztoc, fetched whole and indexed on the spot where it has
 * none, stacked by overlayfs. Everything a mount made goes with its scope: mounts in reverse order, then files.
 */
import { Context, type Effect, Schema, type Scope } from "effect"
import { causeMessage } from "./causeMessage.ts"
import type { FoundIndex, InvalidIndex, NoIndex, PlatformManifest } from "./ArtifactSource.ts"
import type { Descriptor } from "./Descriptor.ts"
import type { MountFailed } from "./FuseDriver.ts"
import type { ImageSourceError, SourceImage } from "./ImageSource.ts"
import type { ErofsUnavailable, LayerMount, MountMode } from "./LayerMounter.ts"
import type { InvalidTree } from "./LayerTree.ts"
import type { SpanStats, SpanStoreFailed, SpanUnavailable } from "./SpanStore.ts"
import type { InvalidZtoc } from "./Ztoc.ts"
import type { ZtocBuildError } from "./ZtocBuilder.ts"

/** A directory or file that the mount needs cannot be made. */
export class MountSetupFailed extends Schema.TaggedError<MountSetupFailed>()("MountSetupFailed", {
  path: Schema.String,
  reason: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `cannot prepare ${this.path}: ${this.reason}`
  }
}

/** A layer can be mounted neither lazily nor whole. */
export class LayerUnmountable extends Schema.TaggedError<LayerUnmountable>()("LayerUnmountable", {
  layer: Schema.String,
  mediaType: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `layer ${this.layer} (${this.mediaType}) cannot be mounted: ${causeMessage(this.cause)}`
  }
}

/** A program could not be started in a root file system. */
export class ProgramNotStarted extends Schema.TaggedError<ProgramNotStarted>()("ProgramNotStarted", {
  command: Schema.String,
  rootfs: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `cannot start "${this.command}" in ${this.rootfs}: ${causeMessage(this.cause)}. It needs unshare(1) of util-linux`
  }
}

export interface ImageMountOptions {
  readonly mountPoint: string
  readonly mode: MountMode
  /** An upper directory on top, discarded at the end. */
  readonly writable: boolean
  /** Lazy layers are filled while nobody waits for bytes. */
  readonly fill?: boolean
}

/** One layer of a mounted image. */
export interface MountedLayer {
  readonly descriptor: Descriptor
  /** `lazy`: by a ztoc of the index. `local`: fetched whole, for lack of one. */
  readonly how: "lazy" | "local"
  readonly mount: LayerMount
  readonly stats: Effect.Effect<SpanStats>
}

export interface MountedImage {
  readonly mountPoint: string
  readonly manifest: PlatformManifest
  /** Bottom layer first. */
  readonly layers: ReadonlyArray<MountedLayer>
  /** Compressed bytes fetched for layers so far. */
  readonly fetchedBytes: Effect.Effect<number>
}

export type ImageMountError =
  | MountFailed
  | MountSetupFailed
  | LayerUnmountable
  | ErofsUnavailable
  | InvalidTree
  | InvalidZtoc
  | InvalidIndex
  | NoIndex
  | SpanStoreFailed
  | SpanUnavailable
  | ZtocBuildError
  | ImageSourceError

export class ImageMounter extends Context.Service<
  ImageMounter,
  {
    /** Without an index every layer is fetched whole and indexed on the spot. */
    mount(
      image: SourceImage,
      manifest: PlatformManifest,
      index: FoundIndex | undefined,
      options: ImageMountOptions
    ): Effect.Effect<MountedImage, ImageMountError, Scope.Scope>
  }
>()("effect-soci/services/ImageMounter") {}

/**
 * Builds SOCI indexes for images and converts images to carry them (index-and-artifacts spec, sections 4 and 5).
 *
 * Everything that is made goes into the `ContentStore`: ztocs, the index, rewritten manifests; the `ArtifactsDb` knows of it. A ztoc that was
 * built before with the same span size is taken again. Nothing depends on the clock or on the
 * order in which layers finish, so a second run gives the same digests and finds its content there. Layers are built at the same time,
 * as many as there are threads for; one failure ends the others. What was finished before a failure stays and is found by the next run.
 * While something is built no garbage collection takes it; afterwards labels tie the parts of an index and of an image to it.
 */
import { Context, type Effect, Schema } from "effect"
import { causeMessage } from "./causeMessage.ts"
import type { PlatformManifest } from "./ArtifactSource.ts"
import type { ArtifactsDbFailed } from "./ArtifactsDb.ts"
import type { ContentStoreError } from "./ContentStore.ts"
import type { ContentMismatch, Descriptor, Platform } from "./Descriptor.ts"
import type { ImageSourceError, SourceImage } from "./ImageSource.ts"
import type { SociIndexVersion } from "./SociIndex.ts"

/** A layer that gets no ztoc, and why. */
export interface SkippedLayer {
  readonly layer: Descriptor
  readonly reason: "too small" | "unsupported"
  readonly message: string
}

export type IndexBuildEvent =
  | { readonly _tag: "LayerSkipped"; readonly skipped: SkippedLayer }
  | { readonly _tag: "LayerProgress"; readonly layer: Descriptor; readonly compressedBytes: number }
  | { readonly _tag: "LayerBuilt"; readonly layer: Descriptor; readonly ztoc: Descriptor }
  /** A ztoc that was there already. */
  | { readonly _tag: "LayerReused"; readonly layer: Descriptor; readonly ztoc: Descriptor }
  | { readonly _tag: "PrefetchBuilt"; readonly layer: Descriptor; readonly prefetch: Descriptor }
  /** No layer with a ztoc holds a file of this (cleaned) path. */
  | { readonly _tag: "PrefetchFileMissing"; readonly path: string }

export interface IndexBuildOptions {
  /** Uncompressed bytes of a span; 4 MiB unless given. */
  readonly spanSize: number
  /** Compressed bytes; a smaller layer gets no ztoc. */
  readonly minLayerSize: number
  readonly buildToolIdentifier: string
  /** Marks layers that have no extended attributes (experimental in the reference). */
  readonly xattrOptimization: boolean
  /** Builds ztocs that exist already anew. */
  readonly forceRecreate: boolean
  /** Files whose spans a node shall fetch before they are read (index-and-artifacts, section 7); paths from the image's root. */
  readonly prefetchPaths: ReadonlyArray<string>
  /** Labels what is made as a root of garbage collection; nothing but that keeps an index which no image record names. */
  readonly gcRootLabel: boolean
  /**
   * What conversion does with attestation manifests: it keeps them as they are (the default), or rewrites them as the reference does, which
   * takes away what links them to their image (index-and-artifacts, section 14, row 1).
   */
  readonly attestations?: "keep" | "rewrite"
  readonly onEvent?: (event: IndexBuildEvent) => Effect.Effect<void>
}

export interface BuiltIndex {
  /** The index as it is stored; with the artifact type. */
  readonly descriptor: Descriptor
  readonly version: SociIndexVersion
  readonly platform: Platform
  /** The image manifest it is for. */
  readonly manifest: Descriptor
  /** Ztoc descriptors in layer order. */
  readonly ztocs: ReadonlyArray<Descriptor>
  /** Prefetch artifacts, in layer order. */
  readonly prefetch: ReadonlyArray<Descriptor>
  readonly skipped: ReadonlyArray<SkippedLayer>
}

export interface ConvertedImage {
  /** The new image index. */
  readonly descriptor: Descriptor
  readonly indexes: ReadonlyArray<BuiltIndex>
}

/** No layer of the image got a ztoc. */
export class EmptyIndex extends Schema.TaggedError<EmptyIndex>()("EmptyIndex", {
  image: Schema.String,
  platform: Schema.String,
  reasons: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return "no ztocs created, all layers either skipped or produced errors"
  }
}

/** Options that no index can be built with; the texts are the reference's. */
export class InvalidBuildOptions extends Schema.TaggedError<InvalidBuildOptions>()("InvalidBuildOptions", {
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

/** What was made could not be kept: a part of the index, the index, or what protects it. */
export class IndexNotKept extends Schema.TaggedError<IndexNotKept>()("IndexNotKept", {
  image: Schema.String,
  /** What was attempted, in the words of the reference. */
  attempted: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `${this.attempted}: ${causeMessage(this.cause)}`
  }
}

/** A layer could not be built; the text begins as the reference's. */
export class LayerBuildFailed extends Schema.TaggedError<LayerBuildFailed>()("LayerBuildFailed", {
  image: Schema.String,
  layer: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `errors encountered while building soci layers; ${causeMessage(this.cause)}`
  }
}

/** The image cannot be converted as it is; the texts are the reference's where it has one. */
export class ConversionRefused extends Schema.TaggedError<ConversionRefused>()("ConversionRefused", {
  image: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

export type IndexBuildError =
  | EmptyIndex
  | InvalidBuildOptions
  | IndexNotKept
  | LayerBuildFailed
  | ArtifactsDbFailed
  | ContentStoreError
  | ContentMismatch
  | ImageSourceError

export class IndexBuilder extends Context.Service<
  IndexBuilder,
  {
    /** The index of one platform's manifest: v1 refers to the manifest, v2 stands alone. */
    build(
      image: SourceImage,
      target: PlatformManifest & { readonly platform: Platform },
      version: SociIndexVersion,
      options: IndexBuildOptions
    ): Effect.Effect<BuiltIndex, IndexBuildError>

    /** An image index with annotated manifests and their v2 indexes. Platforms whose layers are all skipped stay without one. */
    convert(
      image: SourceImage,
      platforms: ReadonlyArray<Platform>,
      options: IndexBuildOptions
    ): Effect.Effect<ConvertedImage, IndexBuildError | ConversionRefused>
  }
>()("effect-soci/services/IndexBuilder") {}

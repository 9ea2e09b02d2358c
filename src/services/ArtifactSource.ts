/**
 * Finds the SOCI index of an image, in order: a digest the caller names, the annotation of a converted manifest (v2), a referrer of the
 * manifest (v1). The index is bound to the image: a ztoc counts only for a layer of the manifest it was found for.
 *
 * A v2 annotation whose index cannot be had never falls back to v1: the image says that it has one.
 */
import { Context, type Effect, Schema } from "effect"
import type { Descriptor, Digest } from "./Descriptor.ts"
import type { Manifest } from "./Image.ts"
import type { ImageSourceError, SourceImage } from "./ImageSource.ts"
import type { SociIndex } from "./SociIndex.ts"
import type { InvalidZtoc, Ztoc } from "./Ztoc.ts"

export type IndexOrigin = "given" | "v2 annotation" | "v1 referrer"

/** The image has no SOCI index where we looked. */
export class NoIndex extends Schema.TaggedError<NoIndex>()("NoIndex", {
  image: Schema.String,
  looked: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `${this.image} has no SOCI index (looked for: ${this.looked.join(", ")})`
  }
}

/** There is an index, and it cannot be used. */
export class InvalidIndex extends Schema.TaggedError<InvalidIndex>()("InvalidIndex", {
  image: Schema.String,
  index: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `SOCI index ${this.index} of ${this.image} cannot be used: ${this.reason}`
  }
}

/** An image manifest for one platform. */
export interface PlatformManifest {
  readonly descriptor: Descriptor
  readonly manifest: Manifest
}

export interface FoundIndex {
  readonly origin: IndexOrigin
  readonly index: SociIndex
  /** Ztoc descriptors by layer digest. */
  readonly ztocs: ReadonlyMap<Digest, Descriptor>
  /** The bytes the index's and its ztocs' descriptors count. */
  readonly size: number
  /** Fetches, verifies and decodes the ztoc of a layer. */
  readZtoc(ztoc: Descriptor): Effect.Effect<Ztoc, ImageSourceError | InvalidZtoc | InvalidIndex>
}

export class ArtifactSource extends Context.Service<
  ArtifactSource,
  {
    find(
      image: SourceImage,
      manifest: PlatformManifest,
      options: { readonly indexDigest: Digest | undefined }
    ): Effect.Effect<FoundIndex, NoIndex | InvalidIndex | ImageSourceError>
  }
>()("effect-soci/services/ArtifactSource") {}

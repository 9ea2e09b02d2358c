/**
 * Where an image comes from, whatever its name says: a registry or an OCI layout. What mounts, indexes or pulls an
 * image depends on this and not on the medium.
 */
import { Context, type Effect, Schema, type Scope, type Stream } from "effect"
import type { ContentStoreError } from "./ContentStore.ts"
import type { ContentMismatch, Descriptor, Digest } from "./Descriptor.ts"
import type { MalformedDocument } from "./Image.ts"
import type { ImageName, LocatedImageName } from "./ImageName.ts"
import type { RegistryError } from "./RegistryFetcher.ts"
import type { RemoteBlob } from "./RemoteBlob.ts"

/** The image has no manifest for the platform. */
export class PlatformNotInImage extends Schema.TaggedError<PlatformNotInImage>()("PlatformNotInImage", {
  image: Schema.String,
  platform: Schema.String,
  available: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `${this.image} has no manifest for ${this.platform}; it has ${this.available.join(", ") || "none"}`
  }
}

export type ImageSourceError = RegistryError | ContentStoreError | ContentMismatch | MalformedDocument

/** An image that was found: its target is a manifest or an index. */
export interface SourceImage {
  readonly name: ImageName
  readonly target: Descriptor
  /** The descriptor of a manifest or index of the image's repository or layout of which only the digest is known. */
  resolveDigest(digest: Digest): Effect.Effect<Descriptor, ImageSourceError>
  /** A document of at most 4 MiB, verified. */
  readDocument(descriptor: Descriptor): Effect.Effect<Uint8Array, ImageSourceError>
  /** A whole blob, verified at its end. */
  readBlob(descriptor: Descriptor): Stream.Stream<Uint8Array, ImageSourceError>
  /** A blob opened for ranged reads. */
  openBlob(descriptor: Descriptor): Effect.Effect<RemoteBlob, ImageSourceError, Scope.Scope>
  /** Manifests that refer to `subject`, of one artifact type. */
  referrers(subject: Digest, artifactType: string): Effect.Effect<ReadonlyArray<Descriptor>, ImageSourceError>
}

export class ImageSource extends Context.Service<
  ImageSource,
  {
    find(name: LocatedImageName): Effect.Effect<SourceImage, ImageSourceError, Scope.Scope>
  }
>()("effect-soci/services/ImageSource") {}

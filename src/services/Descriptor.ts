/**
 * Names a piece of content by what it is: media type, digest and size (OCI image-spec, "Descriptors").
 */
import { Schema } from "effect"

/** A lower-case SHA-256 digest, written `sha256:<64 hex digits>`. */
export const Digest = Schema.String.check(Schema.isPattern(/^sha256:[0-9a-f]{64}$/)).pipe(Schema.brand("Digest"))
export type Digest = typeof Digest.Type

/** The hexadecimal part of a digest: a safe file name. */
export const hexOf = (digest: Digest): string => digest.slice("sha256:".length)

const ByteCount = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** The platform an image manifest is for (OCI image-spec, "Image Index"). */
export const Platform = Schema.Struct({
  architecture: Schema.String,
  os: Schema.String,
  "os.version": Schema.optionalKey(Schema.String),
  "os.features": Schema.optionalKey(Schema.Array(Schema.String)),
  variant: Schema.optionalKey(Schema.String)
})
export type Platform = typeof Platform.Type

export const Annotations = Schema.Record(Schema.String, Schema.String)
export type Annotations = typeof Annotations.Type

/**
 * A descriptor as it stands in manifests and indexes. Sizes are exact up to 2^53 - 1 bytes; a larger one is refused
 * where it is decoded.
 */
export const Descriptor = Schema.Struct({
  mediaType: Schema.String,
  digest: Digest,
  size: ByteCount,
  urls: Schema.optionalKey(Schema.Array(Schema.String)),
  annotations: Schema.optionalKey(Annotations),
  data: Schema.optionalKey(Schema.String),
  platform: Schema.optionalKey(Platform),
  artifactType: Schema.optionalKey(Schema.String)
})
export type Descriptor = typeof Descriptor.Type

/** The bytes that arrived are not the bytes the descriptor promised. */
export class ContentMismatch extends Schema.TaggedError<ContentMismatch>()("ContentMismatch", {
  subject: Schema.String,
  expectedDigest: Schema.String,
  expectedSize: Schema.Number,
  actualDigest: Schema.String,
  actualSize: Schema.Number
}) {
  override get message(): string {
    return (
      `${this.subject}: expected ${this.expectedDigest} (${this.expectedSize} bytes), ` +
      `got ${this.actualDigest} (${this.actualSize} bytes)`
    )
  }
}

/** A text that names no platform. */
export class InvalidPlatform extends Schema.TaggedError<InvalidPlatform>()("InvalidPlatform", {
  input: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `"${this.input}" is not a platform: ${this.reason}. Expected os[/architecture[/variant]], such as linux/arm64`
  }
}

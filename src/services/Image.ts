/**
 * Image documents: manifests, indexes and the part of the configuration that we read (OCI image-spec).
 */
import { Schema } from "effect"
import { Annotations, Descriptor } from "./Descriptor.ts"

/** An image manifest; also the form in which a SOCI index is stored. */
export const Manifest = Schema.Struct({
  schemaVersion: Schema.Int,
  mediaType: Schema.optionalKey(Schema.String),
  artifactType: Schema.optionalKey(Schema.String),
  config: Descriptor,
  layers: Schema.NullOr(Schema.Array(Descriptor)),
  subject: Schema.optionalKey(Descriptor),
  annotations: Schema.optionalKey(Annotations)
})
export type Manifest = typeof Manifest.Type

/** An image index or a Docker manifest list. */
export const ImageIndex = Schema.Struct({
  schemaVersion: Schema.Int,
  mediaType: Schema.optionalKey(Schema.String),
  artifactType: Schema.optionalKey(Schema.String),
  manifests: Schema.NullOr(Schema.Array(Descriptor)),
  subject: Schema.optionalKey(Descriptor),
  annotations: Schema.optionalKey(Annotations)
})
export type ImageIndex = typeof ImageIndex.Type

/** What we read of an image configuration: its platform, the diff IDs and the process to run. */
export const ImageConfig = Schema.Struct({
  architecture: Schema.optionalKey(Schema.String),
  os: Schema.optionalKey(Schema.String),
  variant: Schema.optionalKey(Schema.String),
  config: Schema.optionalKey(
    Schema.NullOr(
      Schema.Struct({
        Env: Schema.optionalKey(Schema.NullOr(Schema.Array(Schema.String))),
        WorkingDir: Schema.optionalKey(Schema.String)
      })
    )
  ),
  rootfs: Schema.Struct({ type: Schema.String, diff_ids: Schema.Array(Schema.String) })
})
export type ImageConfig = typeof ImageConfig.Type

/** No manifest or index of an image may be larger (4 MiB, the limit of the distribution spec). */
export const maxDocumentBytes = 4 * 1024 * 1024

/** A document is not JSON, or not of the expected form. */
export class MalformedDocument extends Schema.TaggedError<MalformedDocument>()("MalformedDocument", {
  document: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.document} cannot be read: ${this.reason}`
  }
}

/** Checks parsed JSON against the schemas, as the codecs of these documents need it. */
export const checkManifest = Schema.decodeUnknownResult(Manifest)
export const checkImageIndex = Schema.decodeUnknownResult(ImageIndex)
export const checkImageConfig = Schema.decodeUnknownResult(ImageConfig)

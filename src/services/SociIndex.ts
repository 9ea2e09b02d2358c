/**
 * The SOCI index: an OCI image manifest whose layers are ztocs and prefetch artifacts (index-and-artifacts spec, sections 1 and 2).
 */
import { type Descriptor, Digest } from "./Descriptor.ts"
import type { Manifest } from "./Image.ts"
import { MediaType } from "./MediaType.ts"

export type SociIndexVersion = "v1" | "v2"

export const artifactTypeOf = (version: SociIndexVersion): string =>
  version === "v1" ? MediaType.sociIndexV1 : MediaType.sociIndexV2

/** Annotation keys of SOCI artifacts and of images that carry them. */
export const SociAnnotation = {
  imageLayerMediaType: "com.amazon.soci.image-layer-mediaType",
  imageLayerDigest: "com.amazon.soci.image-layer-digest",
  spanSize: "com.amazon.soci.span-size",
  buildToolIdentifier: "com.amazon.soci.build-tool-identifier",
  disableXattrs: "com.amazon.soci.disable-xattrs",
  imageManifestDigest: "com.amazon.soci.image-manifest-digest",
  indexDigest: "com.amazon.soci.index-digest"
} as const

/** The two bytes `{}`: the config of every SOCI index. */
export const emptyObject = {
  digest: Digest.make("sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
  bytes: new TextEncoder().encode("{}")
}

/** A SOCI index that was read: its version comes from the media type of its config. */
export interface SociIndex {
  readonly version: SociIndexVersion
  readonly descriptor: Descriptor
  readonly manifest: Manifest
}

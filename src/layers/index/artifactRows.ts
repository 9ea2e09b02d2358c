/**
 * What the artifacts data base keeps of ztocs, prefetch artifacts and indexes (index-and-artifacts spec, 10.2).
 */
import { Clock, Effect } from "effect"
import { ArtifactEntry } from "../../services/ArtifactsDb.ts"
import type { Descriptor, Digest, Platform } from "../../services/Descriptor.ts"
import { MediaType } from "../../services/MediaType.ts"
import { artifactTypeOf, type SociIndexVersion } from "../../services/SociIndex.ts"
import { formatPlatform } from "../../streams/codec/platform.ts"

type Content = Pick<Descriptor, "digest" | "size">

const now = Effect.map(Clock.currentTimeMillis, (milliseconds) => new Date(milliseconds))

const row = (fields: Omit<typeof ArtifactEntry.Type, "createdAt">) =>
  Effect.map(now, (createdAt) => new ArtifactEntry({ ...fields, createdAt }))

export const ztocRow = (layer: Digest, { digest, size }: Content, spanSize: number) =>
  row({
    digest,
    size,
    type: "soci_layer",
    originalDigest: layer,
    imageDigest: "",
    platform: "",
    location: layer,
    mediaType: MediaType.ztoc,
    artifactType: "",
    spanSize
  })

/** The artifact does not say which layer it is for, and one may serve several: the row names the last. */
export const prefetchRow = (layer: Digest, { digest, size }: Content) =>
  row({
    digest,
    size,
    type: "soci_prefetch",
    originalDigest: layer,
    imageDigest: "",
    platform: "",
    location: "",
    mediaType: MediaType.sociPrefetch,
    artifactType: "",
    spanSize: 0
  })

export const indexRow = (
  { digest, size }: Content,
  of: {
    readonly version: SociIndexVersion
    readonly manifest: Digest
    readonly image: Digest
    readonly platform: Platform
    /** The manifest the index was built for, where it is not the same. */
    readonly location?: Digest
  }
) =>
  row({
    digest,
    size,
    type: "soci_index",
    originalDigest: of.manifest,
    imageDigest: of.image,
    platform: formatPlatform(of.platform),
    location: of.location ?? of.manifest,
    mediaType: MediaType.ociManifest,
    artifactType: artifactTypeOf(of.version),
    spanSize: 0
  })

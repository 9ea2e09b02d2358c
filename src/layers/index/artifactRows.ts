/**
 * What the artifacts data base keeps of ztocs and indexes (index-and-artifacts spec, 10.2).
 */
import { Clock, Effect } from "effect"
import { ArtifactEntry } from "../../services/ArtifactsDb.ts"
import type { Descriptor, Platform } from "../../services/Descriptor.ts"
import { MediaType } from "../../services/MediaType.ts"
import { artifactTypeOf, type SociIndexVersion } from "../../services/SociIndex.ts"
import { formatPlatform } from "../../streams/codec/platform.ts"

const now = Effect.map(Clock.currentTimeMillis, (milliseconds) => new Date(milliseconds))

export const ztocRow = (layer: Descriptor, ztoc: Descriptor, spanSize: number) =>
  Effect.map(
    now,
    (createdAt) =>
      new ArtifactEntry({
        digest: ztoc.digest,
        size: ztoc.size,
        type: "soci_layer",
        originalDigest: layer.digest,
        imageDigest: "",
        platform: "",
        location: layer.digest,
        mediaType: MediaType.ztoc,
        artifactType: "",
        createdAt,
        spanSize
      })
  )

export const indexRow = (
  index: Descriptor,
  of: {
    readonly version: SociIndexVersion
    readonly manifest: Descriptor
    readonly image: Descriptor
    readonly platform: Platform
  }
) =>
  Effect.map(
    now,
    (createdAt) =>
      new ArtifactEntry({
        digest: index.digest,
        size: index.size,
        type: "soci_index",
        originalDigest: of.manifest.digest,
        imageDigest: of.image.digest,
        platform: formatPlatform(of.platform),
        location: of.manifest.digest,
        mediaType: MediaType.ociManifest,
        artifactType: artifactTypeOf(of.version),
        createdAt,
        spanSize: 0
      })
  )

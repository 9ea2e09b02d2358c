/**
 * Rows for the artifacts data base.
 */
import { ArtifactEntry } from "../../src/services/ArtifactsDb.ts"
import { MediaType } from "../../src/services/MediaType.ts"
import { digestOf } from "../../src/streams/verify.ts"
import { utf8 } from "./content.ts"

export const digest = (text: string) => digestOf(utf8(text))

export const ztocEntry = (name: string, rest: Partial<ArtifactEntry> = {}): ArtifactEntry =>
  new ArtifactEntry({
    digest: digest(name),
    size: 1234,
    type: "soci_layer",
    originalDigest: digest(`layer of ${name}`),
    imageDigest: "",
    platform: "",
    location: digest(`layer of ${name}`),
    mediaType: MediaType.ztoc,
    artifactType: "",
    createdAt: new Date(1_700_000_000_123),
    spanSize: 65_536,
    ...rest
  })

export const indexEntry = (name: string, rest: Partial<ArtifactEntry> = {}): ArtifactEntry =>
  new ArtifactEntry({
    digest: digest(name),
    size: 1258,
    type: "soci_index",
    originalDigest: digest(`manifest of ${name}`),
    imageDigest: digest(`image of ${name}`),
    platform: "linux/amd64",
    location: digest(`manifest of ${name}`),
    mediaType: MediaType.ociManifest,
    artifactType: MediaType.sociIndexV1,
    createdAt: new Date(1_700_000_000_456),
    spanSize: 0,
    ...rest
  })

export const prefetchEntry = (name: string, rest: Partial<ArtifactEntry> = {}): ArtifactEntry =>
  new ArtifactEntry({
    digest: digest(name),
    size: 66,
    type: "soci_prefetch",
    originalDigest: digest(`layer of ${name}`),
    imageDigest: "",
    platform: "",
    location: "",
    mediaType: MediaType.sociPrefetch,
    artifactType: "",
    createdAt: new Date(1_700_000_000_789),
    spanSize: 0,
    ...rest
  })

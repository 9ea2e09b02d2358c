/**
 * Rows of the artifacts data base as SQLite keeps them.
 */
import { Schema } from "effect"
import type { SQLOutputValue } from "node:sqlite"
import { ArtifactEntry } from "../../services/ArtifactsDb.ts"
import { Digest } from "../../services/Descriptor.ts"

type Row = Record<string, SQLOutputValue>

const StoredEntry = Schema.Struct({
  digest: Digest,
  size: Schema.Int,
  type: ArtifactEntry.fields.type,
  original_digest: Schema.String,
  image_digest: Schema.String,
  platform: Schema.String,
  location: Schema.String,
  media_type: Schema.String,
  artifact_type: Schema.String,
  created_at: Schema.Int,
  span_size: Schema.Int
})
const decodeStored = Schema.decodeUnknownSync(StoredEntry)

export const entryOf = (row: Row): ArtifactEntry => {
  const stored = decodeStored(row)
  return new ArtifactEntry({
    digest: stored.digest,
    size: stored.size,
    type: stored.type,
    originalDigest: stored.original_digest,
    imageDigest: stored.image_digest,
    platform: stored.platform,
    location: stored.location,
    mediaType: stored.media_type,
    artifactType: stored.artifact_type,
    createdAt: new Date(stored.created_at),
    spanSize: stored.span_size
  })
}

/** In the order of the table's columns. */
export const valuesOf = (entry: ArtifactEntry): ReadonlyArray<string | number> => [
  entry.digest,
  entry.size,
  entry.type,
  entry.originalDigest,
  entry.imageDigest,
  entry.platform,
  entry.location,
  entry.mediaType,
  entry.artifactType,
  entry.createdAt.getTime(),
  entry.spanSize
]

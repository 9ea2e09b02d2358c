/**
 * The work of `soci index list`: the indexes of the data base, with the names their images have in containerd.
 */
import { Clock, Effect, Stream } from "effect"
import type { ArtifactEntry } from "../../../services/ArtifactsDb.ts"
import { MediaType } from "../../../services/MediaType.ts"
import { formatAge } from "../../../streams/codec/age.ts"
import { openArtifactsDb, openContainerd } from "../../stores.ts"
import { listTable } from "../listTable.ts"
import { printJson } from "../printJson.ts"
import { writeStandardOutput } from "../standardOutput.ts"
import { imageNames, indexRows, type IndexSelection } from "./indexRows.ts"

export interface ListOptions extends IndexSelection {
  readonly quiet: boolean
  readonly json: boolean
}

const header = ["DIGEST", "SIZE", "IMAGE REF", "PLATFORM", "MEDIA TYPE", "MANIFEST VERSION", "CREATED"]

const versionOf = ({ artifactType }: ArtifactEntry): string => {
  if (artifactType === MediaType.sociIndexV1) return "v1"
  return artifactType === MediaType.sociIndexV2 ? "v2" : ""
}

export const listIndexes = Effect.fn("soci.index.list")(function* (options: ListOptions) {
  const artifacts = yield* openArtifactsDb
  const containerd = yield* openContainerd
  const rows = yield* indexRows(artifacts, containerd, options)
  if (options.quiet && !options.json) {
    return yield* writeStandardOutput(Stream.succeed(rows.map(({ digest }) => `${digest}\n`).join("")))
  }
  const names = rows.length === 0 ? new Map<string, ReadonlyArray<string>>() : yield* imageNames(containerd)
  const named = rows.flatMap((row) => (names.get(row.imageDigest) ?? [""]).map((name) => [row, name] as const))
  if (options.json) {
    return yield* printJson(
      named.map(([row, name]) => ({
        Digest: row.digest,
        Size: row.size,
        ImageRef: name,
        Platform: row.platform,
        MediaType: row.mediaType,
        ManifestVersion: versionOf(row),
        ImageDigest: row.imageDigest,
        ManifestDigest: row.originalDigest,
        CreatedAt: row.createdAt.toISOString()
      }))
    )
  }
  const now = yield* Clock.currentTimeMillis
  const cells = named.map(([row, name]) => {
    const { digest, size, platform, mediaType, createdAt } = row
    return [digest, String(size), name, platform, mediaType, versionOf(row), formatAge(createdAt, now)]
  })
  yield* writeStandardOutput(Stream.succeed(listTable([header, ...cells])))
}, Effect.scoped)

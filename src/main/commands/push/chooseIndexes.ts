/**
 * Which index `soci push` pushes for each platform: the newest of version 1. Platforms are all looked at before anything is pushed.
 */
import { Effect } from "effect"
import type { ArtifactEntry, ArtifactsDb } from "../../../services/ArtifactsDb.ts"
import type { Descriptor, Platform } from "../../../services/Descriptor.ts"
import type { SourceImage } from "../../../services/ImageSource.ts"
import { MediaType } from "../../../services/MediaType.ts"
import { formatPlatform } from "../../../streams/codec/platform.ts"
import { CommandRefused } from "../../commandFailure.ts"
import { platformManifest } from "../platformChoice.ts"
import { rowDescriptor } from "../storedArtifact.ts"

export interface ChosenIndex {
  readonly platform: Platform
  readonly manifest: Descriptor
  readonly index: Descriptor
}

const isNewer = (one: ArtifactEntry, other: ArtifactEntry): boolean => one.createdAt > other.createdAt

const newest = (rows: ReadonlyArray<ArtifactEntry>): ArtifactEntry | undefined =>
  rows.reduce<ArtifactEntry | undefined>(
    (best, row) => (best === undefined || isNewer(row, best) ? row : best),
    undefined
  )

export const v2Warning =
  "[WARN] Skipping SOCI index manifest v2. You should push the whole image with higher level tools like finch or nerdctl."

/** `warn` is run for each platform that has an index of version 2, which belongs to another image. */
export const chooseIndexes = (
  artifacts: ArtifactsDb["Service"],
  image: SourceImage,
  platforms: ReadonlyArray<Platform>,
  warn: Effect.Effect<void>
) =>
  Effect.forEach(
    platforms,
    Effect.fnUntraced(function* (platform) {
      const { descriptor: manifest } = yield* platformManifest(image, platform)
      const rows = yield* artifacts.indexesOfManifest(manifest.digest)
      if (rows.some(({ artifactType }) => artifactType === MediaType.sociIndexV2)) yield* warn
      const row = newest(rows.filter(({ artifactType }) => artifactType !== MediaType.sociIndexV2))
      if (row === undefined) {
        const reason = `could not find any soci index manifest v1 to push for platform ${formatPlatform(platform)}`
        return yield* new CommandRefused({ reason })
      }
      const chosen: ChosenIndex = { platform, manifest, index: rowDescriptor(row) }
      return chosen
    })
  )

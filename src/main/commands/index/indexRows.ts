/**
 * The rows that `soci index list` shows, newest first.
 */
import { Effect, Option, Result, Stream } from "effect"
import { stat } from "node:fs/promises"
import { hostPlatform } from "../../../layers/hostPlatform.ts"
import { imagePlatforms } from "../../../layers/imagePlatforms.ts"
import type { ArtifactEntry, ArtifactsDb } from "../../../services/ArtifactsDb.ts"
import { matchesPlatform, parsePlatform } from "../../../streams/codec/platform.ts"
import { Address } from "../../cli/globalFlags.ts"
import type { Containerd } from "../../stores.ts"
import { platformManifest, readPlatform } from "../platformChoice.ts"

export interface IndexSelection {
  /** The name of an image of containerd. */
  readonly ref: string
  readonly platforms: ReadonlyArray<string>
}

/** Of the image: the rows of the manifests of these platforms, or of all it has. */
const rowsOfImage = Effect.fnUntraced(function* (
  artifacts: ArtifactsDb["Service"],
  containerd: Containerd,
  { ref, platforms }: IndexSelection
) {
  const image = yield* containerd.find(ref)
  const wanted = yield* platforms.length > 0 ? Effect.forEach(platforms, readPlatform) : imagePlatforms(image)
  const manifests = yield* Effect.forEach(wanted, (platform) => platformManifest(image, platform, "platform "))
  const digests = new Set(manifests.map(({ descriptor }) => descriptor.digest))
  return (yield* Effect.forEach(digests, (digest) => artifacts.indexesOfManifest(digest))).flat()
})

/** Whatever the image: the rows of these platforms, or all. The same platform may be spelt in several ways. */
const rowsOfPlatforms = Effect.fnUntraced(function* (
  artifacts: ArtifactsDb["Service"],
  platforms: ReadonlyArray<string>
) {
  const wanted = yield* Effect.forEach(platforms, readPlatform)
  const isWanted = ({ platform }: ArtifactEntry) => {
    const own = Result.getOrUndefined(parsePlatform(platform, hostPlatform))
    return own !== undefined && wanted.some((one) => matchesPlatform(one, own, hostPlatform))
  }
  return yield* artifacts.entries.pipe(
    Stream.filter((row) => row.type === "soci_index" && (wanted.length === 0 || isWanted(row))),
    Stream.runCollect
  )
})

export const indexRows = Effect.fnUntraced(function* (
  artifacts: ArtifactsDb["Service"],
  containerd: Containerd,
  selection: IndexSelection
) {
  const rows = yield* selection.ref === ""
    ? rowsOfPlatforms(artifacts, selection.platforms)
    : rowsOfImage(artifacts, containerd, selection)
  return rows.toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.digest < b.digest ? -1 : 1))
})

/** Whether there is a socket at all: a list of what is known here need not wait for a containerd that is not there. */
const isServed = Effect.flatMap(Address, (address) =>
  Effect.promise(() =>
    stat(address).then(
      (found) => found.isSocket(),
      () => false
    )
  )
)

/** The names in containerd of the images that indexes are for. Without containerd there are none, and that is no error. */
export const imageNames = Effect.fnUntraced(function* ({ images }: Containerd) {
  const stored = (yield* isServed) ? yield* Effect.option(images.images) : Option.none()
  const names = new Map<string, Array<string>>()
  for (const { name, target } of Option.getOrElse(stored, () => [])) {
    const others = names.get(target.digest)
    if (others === undefined) names.set(target.digest, [name])
    else others.push(name)
  }
  return names
})

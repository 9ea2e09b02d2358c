/**
 * The work of `soci ztoc list`: the ztocs of the data base, or those that the indexes of an image list.
 */
import { Effect, Stream } from "effect"
import { imagePlatforms } from "../../../layers/imagePlatforms.ts"
import type { ArtifactEntry, ArtifactsDb } from "../../../services/ArtifactsDb.ts"
import { MediaType } from "../../../services/MediaType.ts"
import { decodeManifest } from "../../../streams/codec/imageDocuments.ts"
import { CommandRefused } from "../../commandFailure.ts"
import { openArtifactsDb, openContainerd, openContentStore } from "../../stores.ts"
import { listTable } from "../listTable.ts"
import { platformManifest } from "../platformChoice.ts"
import { printJson } from "../printJson.ts"
import { rowDescriptor } from "../storedArtifact.ts"
import { writeStandardOutput } from "../standardOutput.ts"

export interface ListZtocsOptions {
  /** Empty for all. */
  readonly ztocDigest: string
  /** The name of an image of containerd; empty for all. */
  readonly imageRef: string
  readonly quiet: boolean
  readonly json: boolean
}

const allRows = ({ entries }: ArtifactsDb["Service"]) =>
  entries.pipe(
    Stream.filter(({ type }) => type === "soci_layer"),
    Stream.runCollect
  )

/** A ztoc comes as often as an index of the image lists it. An index that is gone lists nothing. */
const rowsOfImage = Effect.fnUntraced(function* (artifacts: ArtifactsDb["Service"], imageRef: string) {
  const containerd = yield* openContainerd
  const image = yield* containerd.find(imageRef)
  const { store } = yield* openContentStore(containerd)
  const manifests = yield* Effect.forEach(yield* imagePlatforms(image), (platform) => platformManifest(image, platform))
  const indexes = yield* Effect.forEach(manifests, ({ descriptor }) => artifacts.indexesOfManifest(descriptor.digest))
  const listed = yield* Effect.forEach(indexes.flat(), (index) =>
    store.readDocument(rowDescriptor(index)).pipe(
      Effect.flatMap((bytes) => Effect.fromResult(decodeManifest(bytes, index.digest))),
      Effect.map(({ layers }) => (layers ?? []).filter(({ mediaType }) => mediaType === MediaType.ztoc)),
      Effect.catchTag("ContentNotFound", () => Effect.succeed([]))
    )
  )
  return yield* Effect.forEach(listed.flat(), ({ digest }) =>
    Effect.mapError(artifacts.get(digest), ({ message }) => {
      const reason = `failed to get ztoc from artifacts store (try running "soci rebuild-db" first): ${message}`
      return new CommandRefused({ reason })
    })
  )
})

const asJson = ({ digest, size, originalDigest, spanSize, createdAt }: ArtifactEntry) => ({
  Digest: digest,
  Size: size,
  LayerDigest: originalDigest,
  SpanSize: spanSize,
  CreatedAt: createdAt.toISOString()
})

export const listZtocs = Effect.fn("soci.ztoc.list")(function* (options: ListZtocsOptions) {
  const { ztocDigest, imageRef, quiet, json } = options
  const artifacts = yield* openArtifactsDb
  const found = yield* imageRef === "" ? allRows(artifacts) : rowsOfImage(artifacts, imageRef)
  const rows = found.filter(({ digest }) => ztocDigest === "" || digest === ztocDigest)
  if (rows.length === 0 && ztocDigest !== "") {
    const reason = "the specified ztoc doesn't exist or is not associated with the specified image"
    return yield* new CommandRefused({ reason })
  }
  if (json) return yield* printJson(rows.map(asJson))
  const text = quiet
    ? rows.map(({ digest }) => `${digest}\n`).join("")
    : listTable([
        ["DIGEST", "SIZE", "LAYER DIGEST"],
        ...rows.map(({ digest, size, originalDigest }) => [digest, String(size), originalDigest])
      ])
  yield* writeStandardOutput(Stream.succeed(text))
}, Effect.scoped)

/**
 * The work of `soci index remove`: the content of an index, its row, the labels of images that keep it, and what nobody else
 * needs of its ztocs. The row goes last: whatever fails before can be tried again.
 */
import { Effect } from "effect"
import { ArtifactNotFound, type ArtifactsDb, NotAnIndex } from "../../../services/ArtifactsDb.ts"
import type { ContentStore } from "../../../services/ContentStore.ts"
import type { Digest } from "../../../services/Descriptor.ts"
import { MediaType } from "../../../services/MediaType.ts"
import { decodeManifest } from "../../../streams/codec/imageDocuments.ts"
import { contentStoreKind } from "../../cli/globalFlags.ts"
import { CommandRefused } from "../../commandFailure.ts"
import { type Containerd, openArtifactsDb, openContainerd, openContentStore } from "../../stores.ts"
import { indexLabel } from "../create/keepIndex.ts"
import { findRow, readDigest, rowDescriptor } from "../storedArtifact.ts"

export interface RemoveOptions {
  readonly digests: ReadonlyArray<string>
  /** The name of an image of containerd, whose indexes go; empty where there is none. */
  readonly ref: string
}

type Artifacts = ArtifactsDb["Service"]
type Store = ContentStore["Service"]

const findIndexRow = (artifacts: Artifacts, digest: Digest) =>
  findRow(artifacts, digest).pipe(
    Effect.catchTag("ArtifactNotFound", () =>
      Effect.fail(new CommandRefused({ reason: `the index of the digest ${digest} doesn't exist` }))
    ),
    Effect.filterOrFail(
      ({ mediaType }) => mediaType === MediaType.ociManifest,
      () => new NotAnIndex({ digest })
    )
  )

/** The blobs that an index lists; none where it cannot be read any more. */
const listedBlobs = (store: Store, row: Effect.Success<ReturnType<Artifacts["get"]>>) =>
  store.readDocument(rowDescriptor(row)).pipe(
    Effect.flatMap((bytes) => Effect.fromResult(decodeManifest(bytes, row.digest))),
    Effect.map(({ layers }) => new Set<string>((layers ?? []).map(({ digest }) => digest))),
    Effect.orElseSucceed(() => new Set<string>())
  )

/** Labels that name the index keep nothing any more. What containerd does not let us change does not matter. */
const removeLabels = ({ images }: Containerd, digest: Digest) =>
  Effect.flatMap(images.images, (all) =>
    Effect.forEach(
      all,
      ({ name, labels }) => {
        const own = Object.keys(labels).filter((key) => key.startsWith(indexLabel) && labels[key] === digest)
        return own.length === 0 ? Effect.void : images.label(name, Object.fromEntries(own.map((key) => [key, ""])))
      },
      { discard: true }
    )
  ).pipe(Effect.ignore)

const removeIndex = Effect.fnUntraced(function* (
  artifacts: Artifacts,
  store: Store,
  digest: Digest,
  removeOthers: Effect.Effect<void>
) {
  const row = yield* findIndexRow(artifacts, digest)
  const listed = yield* listedBlobs(store, row)
  // Content that is gone already is what was asked for.
  yield* store.delete(rowDescriptor(row)).pipe(Effect.catchTag("ContentNotFound", () => Effect.void))
  yield* removeOthers
  yield* artifacts.removeIndex(digest)
  yield* artifacts.removeOld((other) => (listed.has(other) ? store.exists(other) : Effect.succeed(true)))
})

export const removeIndexes = Effect.fn("soci.index.remove")(function* ({ digests, ref }: RemoveOptions) {
  if (digests.length > 0 && ref !== "") {
    return yield* new CommandRefused({ reason: "please provide either index digests or image ref, but not both" })
  }
  if (digests.length === 0 && ref === "") return
  const containerd = yield* openContainerd
  const artifacts = yield* openArtifactsDb
  yield* contentStoreKind.pipe(
    Effect.mapError(({ reason }) => new CommandRefused({ reason: `cannot create local content store: ${reason}` }))
  )
  const { kind, store } = yield* openContentStore(containerd)
  const wanted =
    ref === ""
      ? yield* Effect.forEach(digests, readDigest)
      : (yield* artifacts.indexesOfImage((yield* containerd.images.get(ref)).target.digest)).map((row) => row.digest)
  for (const digest of wanted) {
    const removeOthers = kind === "containerd" ? removeLabels(containerd, digest) : Effect.void
    yield* removeIndex(artifacts, store, digest, removeOthers).pipe(
      Effect.catchIf(
        (error) => error instanceof ArtifactNotFound,
        // Somebody else has removed it meanwhile.
        () => Effect.void
      )
    )
  }
}, Effect.scoped)

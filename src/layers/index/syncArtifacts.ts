/**
 * Makes the artifacts data base speak of what content stores hold (index-and-artifacts spec, 10.4 to 10.6, and section 14, rows 7 and 8).
 *
 * Rows whose content is gone go; indexes that have no row get one, with their ztocs and prefetch artifacts. A v2 index belongs to the images
 * that name it: image indexes with it among their entries, and converted manifests that are alone. What cannot be placed is skipped with
 * a warning and does not stop the rest. Whatever was found before a failure stays: a second run goes on.
 */
import { Effect, Option, Schema, Stream } from "effect"
import { causeMessage } from "../../services/causeMessage.ts"
import type { ArtifactsDb } from "../../services/ArtifactsDb.ts"
import type { ContentStore } from "../../services/ContentStore.ts"
import { type Descriptor, Digest, type Platform } from "../../services/Descriptor.ts"
import { MediaType } from "../../services/MediaType.ts"
import { SociAnnotation } from "../../services/SociIndex.ts"
import { decodeImageConfig, decodeManifest } from "../../streams/codec/imageDocuments.ts"
import { normalizePlatform } from "../../streams/codec/platform.ts"
import { hostPlatform } from "../hostPlatform.ts"
import { indexRow, prefetchRow, ztocRow } from "./artifactRows.ts"
import { isStoreFailure, type SociDocument, sociDocuments } from "./sociDocuments.ts"

type Store = ContentStore["Service"]
type Db = ArtifactsDb["Service"]

export interface SyncedArtifacts {
  readonly removed: ReadonlyArray<Digest>
  /** Indexes that have a row now and had none. */
  readonly added: ReadonlyArray<Digest>
  readonly skipped: ReadonlyArray<{ readonly digest: Digest; readonly reason: string }>
}

/** The data base or a store failed; the text begins as the reference's. */
export class SyncFailed extends Schema.TaggedError<SyncFailed>()("SyncFailed", {
  step: Schema.Literals(["failed to remove old artifacts from db", "failed to add new artifacts to db"]),
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `${this.step}: ${causeMessage(this.cause)}`
  }
}

type SociIndexDocument = Extract<SociDocument, { readonly _tag: "SociIndex" }>

/** An image that carries a v2 index. */
interface IndexUse {
  readonly index: Digest
  readonly manifest: Digest
  readonly image: Digest
  readonly platform: Platform | undefined
}

/** No machine has more; each is kept in memory until all documents were seen. */
const maxUses = 200_000

const isDigest = Schema.is(Digest)

const usesIn = (document: Exclude<SociDocument, SociIndexDocument>): ReadonlyArray<IndexUse> => {
  const { digest } = document.blob
  if (document._tag === "ConvertedManifest") {
    const index = document.manifest.annotations?.[SociAnnotation.indexDigest]
    return isDigest(index) ? [{ index, manifest: digest, image: digest, platform: undefined }] : []
  }
  return (document.index.manifests ?? []).flatMap((entry): ReadonlyArray<IndexUse> => {
    const manifest = entry.annotations?.[SociAnnotation.imageManifestDigest]
    if (entry.artifactType !== MediaType.sociIndexV2 || !isDigest(manifest)) return []
    return [{ index: entry.digest, manifest, image: digest, platform: entry.platform }]
  })
}

/** A document from whichever store has it. */
const readDocument = Effect.fnUntraced(function* (stores: ReadonlyArray<Store>, name: string, document: Descriptor) {
  for (const store of stores) {
    if (yield* store.exists(document.digest)) return yield* store.readDocument(document)
  }
  const places = stores.map(({ location }) => location).join(" or ")
  return yield* Effect.fail(new Error(`its ${name} ${document.digest} is not in ${places}`))
})

/** The platform that the configuration of a manifest says. */
const platformOf = Effect.fnUntraced(function* (stores: ReadonlyArray<Store>, subject: Descriptor) {
  const bytes = yield* readDocument(stores, "image manifest", subject)
  const manifest = yield* Effect.fromResult(decodeManifest(bytes, subject.digest))
  const config = yield* readDocument(stores, "image configuration", manifest.config)
  const { os = "", architecture = "", variant } = yield* Effect.fromResult(decodeImageConfig(config))
  return normalizePlatform({ os, architecture, ...(variant ? { variant } : {}) }, hostPlatform)
})

/** The rows of what an index lists, as far as it is there and has none. */
const addBlobs = Effect.fnUntraced(function* (db: Db, store: Store, { manifest }: SociIndexDocument) {
  for (const blob of manifest.layers ?? []) {
    const layer = blob.annotations?.[SociAnnotation.imageLayerDigest]
    if (!isDigest(layer) || !(yield* store.exists(blob.digest))) continue
    if (Option.isSome(yield* rowOf(db, blob.digest))) continue
    const isPrefetch = blob.mediaType === MediaType.sociPrefetch
    const row = isPrefetch ? prefetchRow(layer, blob) : ztocRow(layer, blob, spanSizeOf(blob) ?? 0)
    yield* db.write(yield* row)
  }
})

const rowOf = (db: Db, digest: Digest) =>
  Effect.catchTag(Effect.asSome(db.get(digest)), "ArtifactNotFound", () => Effect.succeedNone)

/** Absent is 0; `undefined` for what is no number. */
const spanSizeOf = ({ annotations }: Descriptor): number | undefined => {
  const text = annotations?.[SociAnnotation.spanSize] ?? "0"
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined
}

/** Why an index cannot have a row, whatever image it is for. */
const flawOf = ({ manifest, version }: SociIndexDocument): string | undefined => {
  if (version === "v1" && manifest.subject === undefined) return "it has no subject"
  const bad = (manifest.layers ?? []).find((blob) => spanSizeOf(blob) === undefined)
  if (bad === undefined) return undefined
  const layer = bad.annotations?.[SociAnnotation.imageLayerDigest] ?? ""
  return `failed to parse span size from annotations for layer ${layer}`
}

const failing = (step: SyncFailed["step"]) => (cause: unknown) => new SyncFailed({ step, cause })

export const syncArtifacts = Effect.fn("syncArtifacts")(function* (
  db: Db,
  store: Store,
  /** Where images are; the same store, or containerd's. */
  { subjectStore }: { readonly subjectStore: Store }
) {
  const removed = yield* Effect.mapError(db.removeOld(store.exists), failing("failed to remove old artifacts from db"))
  const found = yield* Effect.mapError(
    addArtifacts(db, store, subjectStore),
    failing("failed to add new artifacts to db")
  )
  const synced: SyncedArtifacts = { removed, ...found }
  return synced
})

/** One run, and what it has found up to now. */
interface Sync {
  readonly db: Db
  readonly store: Store
  /** Where images may be. */
  readonly stores: ReadonlyArray<Store>
  readonly added: Set<Digest>
  readonly skipped: Array<SyncedArtifacts["skipped"][number]>
  readonly uses: Array<IndexUse>
  /** Indexes v2; without a row until an image is found that has them. */
  readonly ofImages: Map<Digest, SociIndexDocument>
}

const addArtifacts = Effect.fnUntraced(function* (db: Db, store: Store, subjectStore: Store) {
  const stores = store === subjectStore ? [store] : [subjectStore, store]
  const sync: Sync = { db, store, stores, added: new Set(), skipped: [], uses: [], ofImages: new Map() }
  for (const one of stores) {
    yield* Stream.runForEach(sociDocuments(one), (document) => {
      if (document._tag === "SociIndex") return one === store ? seeIndex(sync, document) : Effect.void
      return Effect.sync(() => void (sync.uses.length < maxUses && sync.uses.push(...usesIn(document))))
    })
  }
  yield* placeIndexes(sync)
  return { added: [...sync.added], skipped: sync.skipped }
})

const skip = ({ skipped }: Sync, digest: Digest, reason: string) => {
  skipped.push({ digest, reason })
  return Effect.logWarning(`left out of the artifacts data base: SOCI index ${digest}: ${reason}`)
}

const seeIndex = Effect.fnUntraced(function* (sync: Sync, document: SociIndexDocument) {
  const { db, store } = sync
  const { digest } = document.blob
  const flaw = flawOf(document)
  if (flaw !== undefined) return yield* skip(sync, digest, flaw)
  const isKnown = Option.isSome(yield* rowOf(db, digest))
  if (isKnown) yield* addBlobs(db, store, document)
  const { subject } = document.manifest
  if (document.version === "v2") sync.ofImages.set(digest, document)
  else if (subject !== undefined && !isKnown) {
    yield* addIndex(sync, document, { manifest: subject.digest, image: subject.digest, platform: undefined })
  }
})

const addIndex = Effect.fnUntraced(function* (
  sync: Sync,
  document: SociIndexDocument,
  { manifest, image, platform }: Omit<IndexUse, "index">
) {
  const { db, store, stores } = sync
  const { version, blob } = document
  const subject = document.manifest.subject ?? (yield* describe(stores, manifest))
  yield* Effect.matchEffect(platform === undefined ? platformOf(stores, subject) : Effect.succeed(platform), {
    onFailure: (error) => (isStoreFailure(error) ? Effect.fail(error) : skip(sync, blob.digest, causeMessage(error))),
    onSuccess: Effect.fnUntraced(function* (of) {
      yield* db.write(yield* indexRow(blob, { version, manifest, image, platform: of }))
      yield* addBlobs(db, store, document)
      sync.added.add(blob.digest)
    })
  })
})

/** Gives each index v2 to the images that name it. */
const placeIndexes = Effect.fnUntraced(function* (sync: Sync) {
  const { db, uses, ofImages } = sync
  // An image index says more than the manifest it lists.
  const listed = new Set(uses.filter(({ platform }) => platform).map(({ index, manifest }) => `${index} ${manifest}`))
  for (const use of uses) {
    const document = ofImages.get(use.index)
    if (document === undefined || (!use.platform && listed.has(`${use.index} ${use.manifest}`))) continue
    if (Option.isNone(yield* rowOf(db, use.index))) {
      yield* addIndex(sync, document, use)
      continue
    }
    const known = yield* db.indexesOfImage(use.image)
    if (known.some(({ digest }) => digest === use.index)) continue
    const to = { originalDigest: use.manifest, imageDigest: use.image }
    yield* Effect.catchTag(db.moveIndex(use.index, to), "ArtifactNotFound", () => Effect.void)
  }
  for (const digest of ofImages.keys()) {
    const isSkipped = sync.skipped.some((one) => one.digest === digest)
    if (!isSkipped && Option.isNone(yield* rowOf(db, digest))) yield* skip(sync, digest, "no image names it")
  }
})

/** The descriptor of a manifest of which only the digest is known. */
const describe = Effect.fnUntraced(function* (stores: ReadonlyArray<Store>, digest: Digest) {
  for (const store of stores) {
    if (!(yield* store.exists(digest))) continue
    return { ...(yield* store.resolve(digest)), mediaType: MediaType.ociManifest }
  }
  return { mediaType: MediaType.ociManifest, digest, size: 0 } satisfies Descriptor
})

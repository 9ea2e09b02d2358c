/**
 * Finds the documents of a content store that speak of SOCI indexes: the indexes themselves, and images that carry some. Stores know
 * no media types; what a blob is, its bytes say.
 *
 * A blob is looked at by its size first, then by its first bytes, and read whole only if it can be such a document.
 */
import { Effect, Option, Result, Stream } from "effect"
import type { ContentStore, ContentStoreFailed, StoredBlob } from "../../services/ContentStore.ts"
import type { Descriptor } from "../../services/Descriptor.ts"
import { type ImageIndex, type Manifest, maxDocumentBytes } from "../../services/Image.ts"
import { MediaType } from "../../services/MediaType.ts"
import { SociAnnotation } from "../../services/SociIndex.ts"
import { decodeImageIndex, decodeManifest } from "../../streams/codec/imageDocuments.ts"

type Store = ContentStore["Service"]

export type SociDocument =
  | {
      readonly _tag: "SociIndex"
      readonly blob: StoredBlob
      readonly version: "v1" | "v2"
      readonly manifest: Manifest
    }
  /** An image index with v2 indexes among its entries. */
  | { readonly _tag: "ConvertedImage"; readonly blob: StoredBlob; readonly index: ImageIndex }
  /** A manifest that names its v2 index. */
  | { readonly _tag: "ConvertedManifest"; readonly blob: StoredBlob; readonly manifest: Manifest }

/** Shorter than any of them (the reference's limit). */
const minBytes = 10
const firstBytes = 64

/** All of them have it somewhere: in a media type, an artifact type or an annotation. */
const mark = Buffer.from("amazon.soci.index")

/** An object of JSON, with or without blanks in front. */
const objectStart = /^[\t\n\r ]*\{/

const descriptorOf = ({ digest, size }: StoredBlob): Descriptor => ({ mediaType: MediaType.ztoc, digest, size })

/** What vanished or is damaged is no document; a store that fails is a failure. */
const unlessBroken = <A, E>(effect: Effect.Effect<A, E | ContentStoreFailed>) =>
  Effect.catch(Effect.asSome(effect), (error): Effect.Effect<Option.Option<A>, ContentStoreFailed> =>
    isStoreFailure(error) ? Effect.fail(error) : Effect.succeedNone
  )

export const isStoreFailure = (error: unknown): error is ContentStoreFailed =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "ContentStoreFailed"

const startOf = (store: Store, blob: StoredBlob) =>
  Effect.scoped(
    Effect.flatMap(store.open(descriptorOf(blob)), (opened) =>
      Stream.runCollect(opened.read(0, Math.min(firstBytes, blob.size)))
    )
  ).pipe(Effect.map((chunks) => Buffer.concat(chunks).toString("latin1")))

const classify = (blob: StoredBlob, bytes: Uint8Array): SociDocument | undefined => {
  const manifest = Result.getOrUndefined(decodeManifest(bytes))
  if (manifest === undefined) {
    const index = Result.getOrUndefined(decodeImageIndex(bytes))
    const carries = index?.manifests?.some(({ artifactType }) => artifactType === MediaType.sociIndexV2)
    return index !== undefined && carries === true ? { _tag: "ConvertedImage", blob, index } : undefined
  }
  const { mediaType } = manifest.config
  if (mediaType === MediaType.sociIndexV1) return { _tag: "SociIndex", blob, version: "v1", manifest }
  if (mediaType === MediaType.sociIndexV2) return { _tag: "SociIndex", blob, version: "v2", manifest }
  return manifest.annotations?.[SociAnnotation.indexDigest] === undefined
    ? undefined
    : { _tag: "ConvertedManifest", blob, manifest }
}

const documentIn = Effect.fnUntraced(function* (store: Store, blob: StoredBlob) {
  if (blob.size < minBytes || blob.size > maxDocumentBytes) return undefined
  const start = yield* unlessBroken(startOf(store, blob))
  if (Option.isNone(start) || !objectStart.test(start.value)) return undefined
  const bytes = yield* unlessBroken(store.readDocument(descriptorOf(blob)))
  if (Option.isNone(bytes) || !Buffer.from(bytes.value).includes(mark)) return undefined
  return classify(blob, bytes.value)
})

export const sociDocuments = (store: Store): Stream.Stream<SociDocument, ContentStoreFailed> =>
  store.blobs.pipe(
    Stream.mapEffect((blob) => documentIn(store, blob)),
    Stream.filter((document) => document !== undefined)
  )

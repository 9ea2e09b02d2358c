/**
 * Which image an OCI layout is meant to be, when it is converted as a whole (CLI spec, section 6, step 4).
 */
import { Effect, Result, Stream } from "effect"
import { causeMessage } from "../../services/causeMessage.ts"
import type { ContentStore } from "../../services/ContentStore.ts"
import type { Descriptor } from "../../services/Descriptor.ts"
import type { ImageIndex } from "../../services/Image.ts"
import { isIndexType, isManifestType, MediaType } from "../../services/MediaType.ts"
import { decodeImageIndex, encodeImageIndex } from "../../streams/codec/imageDocuments.ts"
import { describeContent } from "../index/describeContent.ts"
import { StandaloneFailed } from "./StandaloneFailed.ts"

type Store = ContentStore["Service"]

const failed = (attempted: string) => (cause: Error) =>
  new StandaloneFailed({ attempted, reason: causeMessage(cause), cause })

const decode = (bytes: Uint8Array, name: string) =>
  Effect.fromResult(Result.mapError(decodeImageIndex(bytes, name), failed(`unmarshal ${name}`)))

/** The list of platforms that decides, and what names it if it is a blob already. */
const platformList = Effect.fnUntraced(function* (store: Store, index: ImageIndex) {
  const [first, ...others] = index.manifests ?? []
  if (first === undefined) {
    return yield* new StandaloneFailed({ attempted: "", reason: "index.json contains no manifests" })
  }
  if (others.length > 0) return { list: index, mediaType: index.mediaType || MediaType.ociIndex, known: undefined }
  if (!isIndexType(first.mediaType)) return first
  const bytes = yield* Effect.mapError(store.readDocument(first), failed("read manifest list"))
  return { list: yield* decode(bytes, "manifest list"), mediaType: first.mediaType, known: first }
})

/**
 * The descriptor of the image in `index.json`: its only entry; or the entries whose content is there, one by itself, several in a list
 * that is written into the store.
 */
export const rootDescriptor = Effect.fnUntraced(function* (store: Store, indexBytes: Uint8Array) {
  const found = yield* platformList(store, yield* decode(indexBytes, "index.json"))
  if ("digest" in found) return found
  const entries = found.list.manifests ?? []
  const present = yield* Effect.filter(entries, ({ digest }) => store.exists(digest))
  const [only] = present
  if (only === undefined) {
    return yield* new StandaloneFailed({
      attempted: "",
      reason: "manifest list contains no entries with available blobs"
    })
  }
  if (present.length === 1 && isManifestType(only.mediaType)) return only
  if (present.length === entries.length && found.known !== undefined) return found.known
  const bytes = encodeImageIndex({ ...found.list, manifests: present })
  const root: Descriptor = describeContent(found.mediaType, bytes)
  // Without a media type the scratch store does not list it.
  yield* store.ingest({ ...root, mediaType: "" }, Stream.succeed(bytes))
  return root
})

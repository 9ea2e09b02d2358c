/**
 * What `soci convert --standalone` reads: an OCI directory or archive, or, behind `docker://`, an image of a registry.
 *
 * An image of a registry is converted while it streams by: its layers are read once and stored only where they will be needed again. What is
 * made goes into a scratch directory that is gone with the scope.
 */
import { Context, Effect, FileSystem, Layer, Path, Stream } from "effect"
import * as ContentStoreLayout from "../../../layers/ContentStoreLayout.ts"
import { openStandaloneInput } from "../../../layers/standalone/openStandaloneInput.ts"
import { ContentStore } from "../../../services/ContentStore.ts"
import type { Descriptor, Digest } from "../../../services/Descriptor.ts"
import { parseImageName, type RegistryReference } from "../../../services/ImageName.ts"
import type { ImageSourceError, SourceImage } from "../../../services/ImageSource.ts"
import { isIndexType, isManifestType } from "../../../services/MediaType.ts"
import type { Repository } from "../../../services/RegistryFetcher.ts"
import { decodeImageIndex, decodeManifest } from "../../../streams/codec/imageDocuments.ts"
import { CommandRefused } from "../../commandFailure.ts"
import { countedFetches } from "../../progress/countedContent.ts"
import type { ProgressBars } from "../../progress/ProgressBars.ts"
import type { Registries } from "../../registryServices.ts"

export const registryPrefix = "docker://"

/** A place on disk, or an image of a registry. */
export type Place =
  | { readonly _tag: "Path"; readonly path: string }
  | { readonly _tag: "Registry"; readonly reference: RegistryReference }

export const readPlace = Effect.fnUntraced(function* (text: string): Effect.fn.Return<Place, CommandRefused> {
  if (!text.startsWith(registryPrefix)) return { _tag: "Path", path: text }
  const parsed = parseImageName(text.slice(registryPrefix.length))
  const name = yield* Effect.mapError(
    Effect.fromResult(parsed),
    ({ message }) => new CommandRefused({ reason: message })
  )
  if (name._tag === "Registry") return { _tag: "Registry", reference: name }
  return yield* new CommandRefused({ reason: `${text} does not name an image of a registry: docker://host/path:tag` })
})

export interface ConversionInput {
  readonly image: SourceImage
  /** Takes what the conversion makes; with `path` outputs it has, or can read, all of the image. */
  readonly store: ContentStore["Service"]
  readonly scratch: string
  /** Where the image is, if that is a registry: its layers can be mounted into another of its repositories. */
  readonly repository?: Repository
}

/** Layers fetched at the same time. */
const concurrency = 3

/** Everything below a descriptor that the registry has, children first. A platform that it lacks stays away, as in the registry. */
const fetchAll = (image: SourceImage, store: ContentStore["Service"], root: Descriptor) => {
  const seen = new Set<Digest>()
  const visit = Effect.fnUntraced(function* (descriptor: Descriptor): Effect.fn.Return<void, ImageSourceError> {
    const { mediaType, digest } = descriptor
    if (seen.has(digest)) return
    seen.add(digest)
    if (!isIndexType(mediaType) && !isManifestType(mediaType)) {
      return yield* store.ingest(descriptor, image.readBlob(descriptor))
    }
    const bytes = yield* image.readDocument(descriptor)
    if (isIndexType(mediaType)) {
      const { manifests } = yield* Effect.fromResult(decodeImageIndex(bytes, digest))
      const children = (manifests ?? []).map((child) =>
        Effect.catchTag(visit(child), "NotInRegistry", () => Effect.void)
      )
      yield* Effect.all(children, { discard: true })
    } else {
      const { config, layers } = yield* Effect.fromResult(decodeManifest(bytes, digest))
      yield* Effect.forEach([config, ...(layers ?? [])], visit, { concurrency, discard: true })
    }
    yield* store.ingest(descriptor, Stream.succeed(bytes))
  })
  return visit(root)
}

/** The image, whose layers are stored when they are read: they have to be uploaded elsewhere, and are not read twice. */
const keeping = (image: SourceImage, store: ContentStore["Service"]): SourceImage => ({
  ...image,
  readBlob: (descriptor) =>
    Stream.unwrap(Effect.map(store.ingest(descriptor, image.readBlob(descriptor)), () => store.read(descriptor)))
})

const openRegistryInput = Effect.fnUntraced(function* <E, R>(
  reference: RegistryReference,
  output: Place,
  registries: Effect.Effect<Registries, E, R>,
  bars: ProgressBars["Service"]
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const scratch = yield* fs.makeTempDirectoryScoped({ prefix: "soci-oci-" })
  const layout = yield* Layer.build(ContentStoreLayout.layer({ root: path.join(scratch, "store") }))
  const store = Context.get(layout, ContentStore)
  const { images } = yield* registries
  const image = yield* images.find(reference)
  if (output._tag === "Path") {
    yield* fetchAll(countedFetches(image, bars), store, image.target)
    const { readDocument, read } = store
    const fetched: ConversionInput = {
      image: { ...image, readDocument, readBlob: read },
      store,
      scratch,
      repository: reference
    }
    return fetched
  }
  const elsewhere = output.reference.host !== reference.host
  const streamed: ConversionInput = {
    image: elsewhere ? keeping(countedFetches(image, bars), store) : image,
    store,
    scratch,
    repository: reference
  }
  return streamed
})

/** `registries` is run only where there is a registry to talk to. */
export const openConversionInput = Effect.fnUntraced(function* <E, R>(
  input: Place,
  output: Place,
  registries: Effect.Effect<Registries, E, R>,
  bars: ProgressBars["Service"]
) {
  if (input._tag === "Registry") return yield* openRegistryInput(input.reference, output, registries, bars)
  const path = yield* Path.Path
  const fallback = output._tag === "Path" ? { fallbackDirectory: path.dirname(path.resolve(output.path)) } : {}
  const opened: ConversionInput = yield* openStandaloneInput(input.path, fallback)
  return opened
})

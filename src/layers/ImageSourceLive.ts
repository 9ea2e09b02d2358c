/**
 * Images of registries and of OCI layouts. A layout is opened for reading only and closed with the image's scope.
 */
import { Bytes, Context, Effect, Layer, Option, Stream } from "effect"
import { ContentStore, ContentStoreFailed } from "../services/ContentStore.ts"
import type { Descriptor } from "../services/Descriptor.ts"
import { MalformedDocument, maxDocumentBytes } from "../services/Image.ts"
import type { LayoutReference, LocatedImageName, RegistryReference } from "../services/ImageName.ts"
import { ImageSource, type SourceImage } from "../services/ImageSource.ts"
import { isIndexType, isManifestType } from "../services/MediaType.ts"
import { RegistryFetcher } from "../services/RegistryFetcher.ts"
import { documentMediaType } from "../streams/codec/documentType.ts"
import * as ContentStoreLayout from "./ContentStoreLayout.ts"
import { imageInStore } from "./imageInStore.ts"

type Store = ContentStore["Service"]

export const layer: Layer.Layer<ImageSource, never, RegistryFetcher> = Layer.effect(
  ImageSource,
  Effect.map(RegistryFetcher, (registry) =>
    ImageSource.of({
      find: Effect.fn("ImageSource.find")(function* (name: LocatedImageName) {
        return yield* name._tag === "Registry" ? findInRegistry(registry, name) : findInLayout(name)
      })
    })
  )
)

const findInRegistry = Effect.fnUntraced(function* (registry: RegistryFetcher["Service"], name: RegistryReference) {
  const target = yield* registry.resolve(name)
  return {
    name,
    target,
    resolveDigest: (digest) => registry.resolve({ ...name, tag: undefined, digest }),
    readDocument: (descriptor) => readFromRegistry(registry, name, descriptor),
    readBlob: (descriptor) => registry.fetch(name, descriptor),
    openBlob: (descriptor) => registry.open(name, descriptor),
    referrers: (subject, artifactType) => registry.referrers(name, subject, artifactType)
  } satisfies SourceImage
})

/** A registry keeps manifests apart from blobs; a configuration is a blob. */
const readFromRegistry = Effect.fnUntraced(function* (
  registry: RegistryFetcher["Service"],
  name: RegistryReference,
  descriptor: Descriptor
) {
  const { mediaType, digest, size } = descriptor
  if (isManifestType(mediaType) || isIndexType(mediaType)) return yield* registry.fetchManifest(name, descriptor)
  if (size > maxDocumentBytes) {
    return yield* new MalformedDocument({
      document: digest,
      reason: `it has ${size} bytes, at most ${maxDocumentBytes} are read`
    })
  }
  return Bytes.concat(yield* Stream.runCollect(registry.fetch(name, descriptor)))
})

const findInLayout = Effect.fnUntraced(function* (name: LayoutReference) {
  const built = yield* Layer.build(ContentStoreLayout.layer({ root: name.path, readOnly: true }))
  const store = Context.get(built, ContentStore)
  const reference = name.digest ?? name.tag
  const target = yield* reference === undefined ? theOnlyImage(store) : store.resolve(reference)
  const image: SourceImage = {
    ...imageInStore(store, name, yield* withDocumentType(store, target)),
    resolveDigest: (digest) => Effect.flatMap(store.resolve(digest), (found) => withDocumentType(store, found))
  }
  return image
})

const maxTagsShown = 10

const theOnlyImage = Effect.fnUntraced(function* (store: Store) {
  const single = yield* store.single
  if (Option.isSome(single)) return single.value
  const tags = (yield* store.tags).map(({ tag }) => tag)
  const shown = [...tags.slice(0, maxTagsShown), ...(tags.length > maxTagsShown ? ["…"] : [])].join(", ")
  return yield* new ContentStoreFailed({
    operation: "resolve",
    store: store.location,
    reference: "the image",
    reason:
      tags.length > 0
        ? `it holds several; add one of its tags to the path: ${shown}`
        : "it holds no image, or several without tags; add @ and a digest to the path"
  })
})

/** A layout lists few of its manifests; one that is named by its digest tells itself what it is. */
const withDocumentType = Effect.fnUntraced(function* (store: Store, target: Descriptor) {
  const known = isManifestType(target.mediaType) || isIndexType(target.mediaType)
  if (known || target.size > maxDocumentBytes) return target
  const mediaType = documentMediaType(yield* store.readDocument(target))
  return mediaType === undefined ? target : { ...target, mediaType }
})

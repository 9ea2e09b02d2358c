/**
 * The names of content in containerd: its images. A tag of this store is the whole name of an image of the namespace.
 */
import { Effect, Option, Schema } from "effect"
import { ContentNotFound, type ContentStore } from "../../services/ContentStore.ts"
import { type Descriptor, Digest } from "../../services/Descriptor.ts"
import { maxDocumentBytes } from "../../services/Image.ts"
import type { ImageNotFound, ImageStore, ImageStoreFailed } from "../../services/ImageStore.ts"
import { documentMediaType } from "../../streams/codec/documentType.ts"
import type { ContainerdError } from "./containerdErrors.ts"
import type { ContentFailures, Operation } from "./contentFailure.ts"

type Shape = ContentStore["Service"]

const isDigest = Schema.is(Digest)

export const makeContentNames = (
  store: string,
  images: ImageStore["Service"],
  { failure, orNotFound }: ContentFailures,
  sizeOf: (digest: Digest) => Effect.Effect<number, ContainerdError>,
  readDocument: Shape["readDocument"]
): Pick<Shape, "resolve" | "tag" | "untag" | "tags" | "single"> => {
  const failedAs = (operation: Operation, reference: string) => (error: ImageStoreFailed) =>
    failure(operation, reference, error.reason, error.cause)

  const orContentNotFound = (operation: Operation, reference: string) => (error: ImageStoreFailed | ImageNotFound) =>
    error._tag === "ImageNotFound" ? new ContentNotFound({ store, reference }) : failedAs(operation, reference)(error)

  /** containerd knows no media types of blobs: a document says itself what it is. */
  const describe = Effect.fnUntraced(function* (digest: Digest) {
    const size = yield* Effect.mapError(sizeOf(digest), orNotFound("resolve", digest))
    const blob = { mediaType: "application/octet-stream", digest, size }
    if (size > maxDocumentBytes) return blob
    const bytes = yield* Effect.catchTag(readDocument(blob), "ContentMismatch", () => Effect.succeed(new Uint8Array(0)))
    return { ...blob, mediaType: documentMediaType(bytes) ?? blob.mediaType }
  })

  const resolve: Shape["resolve"] = Effect.fn("ContentStoreContainerd.resolve")(function* (reference) {
    if (isDigest(reference)) return yield* describe(reference)
    const image = yield* Effect.mapError(images.get(reference), orContentNotFound("resolve", reference))
    return image.target
  })

  const tag: Shape["tag"] = Effect.fn("ContentStoreContainerd.tag")(function* (target: Descriptor, name) {
    yield* Effect.mapError(sizeOf(target.digest), orNotFound("tag", target.digest))
    yield* Effect.mapError(images.put({ name, target, labels: {} }), failedAs("tag", name))
  })

  const untag: Shape["untag"] = Effect.fn("ContentStoreContainerd.untag")(function* (name) {
    yield* Effect.mapError(images.delete(name), orContentNotFound("untag", name))
  })

  const tags: Shape["tags"] = images.images.pipe(
    Effect.map((all) => all.map(({ name, target }) => ({ tag: name, descriptor: target }))),
    Effect.mapError(failedAs("list", "the images"))
  )

  const single: Shape["single"] = Effect.map(tags, (all) => {
    const [first, ...rest] = all.map(({ descriptor }) => descriptor)
    const only = first !== undefined && rest.every(({ digest }) => digest === first.digest)
    return only ? Option.some(first) : Option.none()
  })

  return { resolve, tag, untag, tags, single }
}

/**
 * What the contents of a layout are called: by tags, and by digests that `index.json` lists.
 */
import { Effect, Schema } from "effect"
import { ContentNotFound, type ContentStore, type ContentStoreFailed } from "../../services/ContentStore.ts"
import { Digest } from "../../services/Descriptor.ts"
import { compareUtf8 } from "../../streams/codec/canonicalJson.ts"
import { blobSize } from "./blobFile.ts"
import type { IndexFile } from "./indexFile.ts"
import type { Attempts } from "./layoutFailure.ts"
import { singleImage, withoutTag, withTag } from "./layoutIndex.ts"

type Shape = ContentStore["Service"]

const isDigest = Schema.is(Digest)

/** `refuseChange` fails where the store may only be read. */
export const makeTags = (
  attempts: Attempts,
  index: IndexFile,
  refuseChange: (operation: "tag" | "untag", reference: string) => Effect.Effect<void, ContentStoreFailed>
): Pick<Shape, "resolve" | "tag" | "untag" | "tags" | "single"> => {
  const { root } = attempts

  const resolve: Shape["resolve"] = Effect.fnUntraced(function* (reference) {
    const current = yield* index.read("resolve", reference)
    const tagged = current.tags.get(reference)
    if (tagged !== undefined) return tagged
    if (!isDigest(reference)) return yield* new ContentNotFound({ store: root, reference })
    const known = current.listed.get(reference)
    if (known !== undefined) return { mediaType: known.mediaType, digest: known.digest, size: known.size }
    const size = yield* blobSize(attempts, "resolve", reference)
    if (size === undefined) return yield* new ContentNotFound({ store: root, reference })
    return { mediaType: "application/octet-stream", digest: reference, size }
  })

  const tag: Shape["tag"] = Effect.fnUntraced(function* (descriptor, name) {
    yield* refuseChange("tag", name)
    if (name === "") return yield* attempts.failure("tag", descriptor.digest, "the tag is empty")
    const size = yield* blobSize(attempts, "tag", descriptor.digest)
    if (size === undefined) return yield* new ContentNotFound({ store: root, reference: descriptor.digest })
    yield* index.change("tag", name, (current) => withTag(current, descriptor, name))
  })

  const untag: Shape["untag"] = Effect.fnUntraced(function* (name) {
    yield* refuseChange("untag", name)
    const current = yield* index.read("untag", name)
    if (!current.tags.has(name)) return yield* new ContentNotFound({ store: root, reference: name })
    yield* index.change("untag", name, (latest) => withoutTag(latest, name))
  })

  const tags: Shape["tags"] = Effect.map(index.read("list", root), (current) =>
    [...current.tags]
      .map(([name, descriptor]) => ({ tag: name, descriptor }))
      .sort((left, right) => compareUtf8(left.tag, right.tag))
  )

  return { resolve, tag, untag, tags, single: Effect.map(index.read("resolve", root), singleImage) }
}

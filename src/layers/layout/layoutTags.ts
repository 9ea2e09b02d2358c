/**
 * What the contents of a layout are called: by tags, and by digests that `index.json` lists.
 */
import { Effect, Schema } from "effect"
import { ContentNotFound, type ContentStore, type ContentStoreFailed } from "../../services/ContentStore.ts"
import { Digest } from "../../services/Descriptor.ts"
import { compareUtf8 } from "../../streams/codec/canonicalJson.ts"
import type { IndexFile } from "./indexFile.ts"
import type { LayoutMedium } from "./layoutMedium.ts"
import { singleImage, withoutTag, withTag } from "./layoutIndex.ts"

type Shape = ContentStore["Service"]

const isDigest = Schema.is(Digest)

/** `refuseChange` fails where the store may only be read. */
export const makeTags = (
  { attempts, sizeOf }: LayoutMedium,
  index: Pick<IndexFile, "read" | "locked" | "update" | "change">,
  refuseChange: (operation: "tag" | "untag", reference: string) => Effect.Effect<void, ContentStoreFailed>
): Pick<Shape, "resolve" | "tag" | "untag" | "tags" | "single"> => {
  const { root, failure } = attempts

  const resolve: Shape["resolve"] = Effect.fnUntraced(function* (reference) {
    if (reference === "") return yield* failure("resolve", "the empty tag", "missing reference")
    const current = yield* index.read("resolve", reference)
    const tagged = current.tags.get(reference)
    if (tagged !== undefined) return tagged
    if (!isDigest(reference)) return yield* new ContentNotFound({ store: root, reference })
    const known = current.listed.get(reference)
    if (known !== undefined) return { mediaType: known.mediaType, digest: known.digest, size: known.size }
    const size = yield* sizeOf("resolve", reference)
    if (size === undefined) return yield* new ContentNotFound({ store: root, reference })
    return { mediaType: "application/octet-stream", digest: reference, size }
  })

  /** Whether the content is there is asked under the lock: nobody deletes it between the question and the tag. */
  const tag: Shape["tag"] = Effect.fnUntraced(function* (descriptor, name) {
    yield* refuseChange("tag", name)
    if (name === "") return yield* failure("tag", descriptor.digest, "the tag is empty: missing reference")
    yield* index.locked(
      "tag",
      name,
      Effect.gen(function* () {
        const size = yield* sizeOf("tag", descriptor.digest)
        if (size === undefined) return yield* new ContentNotFound({ store: root, reference: descriptor.digest })
        yield* index.update("tag", name, (current) => withTag(current, descriptor, name))
      })
    )
  })

  const untag: Shape["untag"] = Effect.fnUntraced(function* (name) {
    yield* refuseChange("untag", name)
    if (name === "") return yield* failure("untag", "the empty tag", "missing reference")
    const current = yield* index.read("untag", name)
    if (current.tags.has(name)) return yield* index.change("untag", name, (latest) => withoutTag(latest, name))
    if (isDigest(name) && current.listed.has(name)) {
      return yield* failure("untag", name, `reference "${name}" is a digest and not a tag: invalid reference`)
    }
    return yield* new ContentNotFound({ store: root, reference: name })
  })

  const tags: Shape["tags"] = Effect.map(index.read("list", root), (current) =>
    [...current.tags]
      .map(([name, descriptor]) => ({ tag: name, descriptor }))
      .sort((left, right) => compareUtf8(left.tag, right.tag))
  )

  return { resolve, tag, untag, tags, single: Effect.map(index.read("resolve", root), singleImage) }
}

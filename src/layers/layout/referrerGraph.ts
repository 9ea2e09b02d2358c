/**
 * Which manifests of a layout refer to which: found by reading the manifests that `index.json` lists and, through image
 * indexes, those below them. A manifest is read once; what it says cannot change.
 */
import { Effect, Result } from "effect"
import type { ContentStoreError } from "../../services/ContentStore.ts"
import type { ContentMismatch, Descriptor, Digest } from "../../services/Descriptor.ts"
import type { ImageIndex, Manifest } from "../../services/Image.ts"
import { isIndexType } from "../../services/MediaType.ts"
import { decodeImageIndex, decodeManifest } from "../../streams/codec/imageDocuments.ts"
import { isListedType, type LayoutIndex } from "./layoutIndex.ts"

interface Node {
  /** As a referrers API lists it: with the artifact type and the annotations of the document. */
  readonly descriptor: Descriptor
  readonly subject: Digest | undefined
  readonly children: ReadonlyArray<Descriptor>
}

const artifactTypeOf = (document: Manifest | ImageIndex): string | undefined =>
  document.artifactType || ("config" in document ? document.config.mediaType : undefined)

const nodeOf = ({ mediaType, digest, size }: Descriptor, bytes: Uint8Array): Node => {
  const document: Result.Result<Manifest | ImageIndex, unknown> = isIndexType(mediaType)
    ? decodeImageIndex(bytes)
    : decodeManifest(bytes)
  if (Result.isFailure(document)) return { descriptor: { mediaType, digest, size }, subject: undefined, children: [] }
  const { success } = document
  const artifactType = artifactTypeOf(success)
  return {
    descriptor: {
      mediaType,
      digest,
      size,
      ...(success.annotations === undefined ? {} : { annotations: success.annotations }),
      ...(artifactType === undefined ? {} : { artifactType })
    },
    subject: success.subject?.digest,
    children: "manifests" in success ? (success.manifests ?? []).filter((child) => isListedType(child.mediaType)) : []
  }
}

export const makeReferrerGraph = (
  readDocument: (descriptor: Descriptor) => Effect.Effect<Uint8Array, ContentStoreError | ContentMismatch>
) => {
  let known: ReadonlyMap<Digest, Node> = new Map()

  /** Content that is listed but absent or damaged refers to nothing; it must not hide what other manifests say. */
  const readNode = (descriptor: Descriptor): Effect.Effect<Node | undefined> =>
    readDocument(descriptor).pipe(
      Effect.map((bytes) => nodeOf(descriptor, bytes)),
      Effect.catchTag("ContentNotFound", () => Effect.succeed(undefined)),
      Effect.catch((error) => Effect.as(Effect.logWarning(`left out of the referrers: ${error.message}`), undefined))
    )

  return Effect.fnUntraced(function* (index: LayoutIndex, subject: Digest, artifactType: string | undefined) {
    const reached = new Map<Digest, Node>()
    const waiting = [...index.listed.values()].filter(({ mediaType }) => isListedType(mediaType))
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (reached.has(next.digest)) continue
      const node = known.get(next.digest) ?? (yield* readNode(next))
      if (node === undefined) continue
      reached.set(next.digest, node)
      waiting.push(...node.children)
    }
    known = reached
    return [...reached.values()]
      .filter((node) => node.subject === subject)
      .map((node) => node.descriptor)
      .filter((descriptor) => artifactType === undefined || descriptor.artifactType === artifactType)
      .sort((left, right) => (left.digest < right.digest ? -1 : 1))
  })
}

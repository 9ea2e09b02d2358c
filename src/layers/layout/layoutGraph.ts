/**
 * Which content of a layout points to which: found by reading the manifests that `index.json` lists and those below them. A manifest is read
 * once; what it says cannot change. Whether it is there is asked each time: other processes delete too.
 */
import { Effect } from "effect"
import type { ContentStoreError, ContentStoreFailed } from "../../services/ContentStore.ts"
import { ContentMismatch, type Descriptor, type Digest } from "../../services/Descriptor.ts"
import type { LayoutMedium } from "./layoutMedium.ts"
import type { Operation } from "./layoutFailure.ts"
import type { LayoutIndex } from "./layoutIndex.ts"
import { isListedType, type ManifestLinks, parseManifestLinks } from "./manifestLinks.ts"

export interface GraphNode extends ManifestLinks {
  /** As it stands where it was found: in `index.json`, or in the first document that lists it. */
  readonly descriptor: Descriptor
}

/** A manifest that is there and cannot be read: what it points to is not known. */
export interface UnreadableManifest {
  readonly descriptor: Descriptor
  readonly reason: string
  /** Its bytes are wrong, not just more than we read. */
  readonly damaged: boolean
}

export interface LayoutGraph {
  /** The manifests that are there, by their digests. */
  readonly nodes: ReadonlyMap<Digest, GraphNode>
  readonly unreadable: ReadonlyArray<UnreadableManifest>
}

export type LoadGraph = (operation: Operation, index: LayoutIndex) => Effect.Effect<LayoutGraph, ContentStoreFailed>

/** The documents of all manifests together, which stay in memory; some 100,000 images of ordinary size. */
const maxGraphBytes = 256 * 1024 * 1024

/** What differs, in the words of the reference (oci-layout-store, section 11). */
const differenceOf = ({ expectedSize, actualSize, expectedDigest }: ContentMismatch): string => {
  if (actualSize > expectedSize) return "trailing data"
  if (actualSize === expectedSize) return "mismatched digest"
  return `read failed: expected content size of ${expectedSize}, got ${actualSize}, for digest ${expectedDigest}: unexpected EOF`
}

export const makeGraphLoader = (
  medium: LayoutMedium,
  readDocument: (descriptor: Descriptor) => Effect.Effect<Uint8Array, ContentStoreError | ContentMismatch>,
  limit = maxGraphBytes
): LoadGraph => {
  let known: ReadonlyMap<Digest, GraphNode> = new Map()
  const { root, failure } = medium.attempts

  const readNode = (descriptor: Descriptor): Effect.Effect<GraphNode | UnreadableManifest | undefined> => {
    const unreadable = (reason: string, damaged: boolean) => Effect.succeed({ descriptor, reason, damaged })
    return readDocument(descriptor).pipe(
      Effect.flatMap((bytes) =>
        Effect.try({
          try: (): GraphNode => ({ descriptor, ...parseManifestLinks(descriptor.mediaType, bytes) }),
          catch: (cause) => new SyntaxError(`failed to decode ${descriptor.digest}: ${String(cause)}`)
        })
      ),
      Effect.catchTag("ContentNotFound", () => Effect.undefined),
      Effect.catch((error) => {
        if (error instanceof ContentMismatch) return unreadable(differenceOf(error), true)
        return unreadable(error.message, error instanceof SyntaxError)
      })
    )
  }

  return Effect.fnUntraced(function* (operation, index) {
    const nodes = new Map<Digest, GraphNode>()
    const unreadable = new Map<Digest, UnreadableManifest>()
    const waiting = [...index.listed.values()].filter(({ mediaType }) => isListedType(mediaType)).toReversed()
    let bytes = 0
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { digest, mediaType, size } = next
      if (nodes.has(digest) || unreadable.has(digest)) continue
      if ((yield* medium.sizeOf(operation, digest)) === undefined) continue
      const earlier = known.get(digest)
      const node = earlier?.descriptor.mediaType === mediaType ? earlier : yield* readNode(next)
      if (node === undefined) continue
      if ("reason" in node) {
        unreadable.set(digest, node)
        continue
      }
      bytes += size
      if (bytes > limit) {
        return yield* failure(operation, root, `its manifests have more than ${limit} bytes together`)
      }
      nodes.set(digest, { ...node, descriptor: next })
      waiting.push(...node.successors.filter((child) => isListedType(child.mediaType)))
    }
    known = nodes
    return { nodes, unreadable: [...unreadable.values()] }
  })
}

/** Manifests whose subject is the given one, as a referrers API lists them: with artifact type and annotations. */
export const referrersIn = (
  { nodes }: LayoutGraph,
  subject: Digest,
  artifactType: string | undefined
): ReadonlyArray<Descriptor> =>
  [...nodes.values()]
    .filter((node) => node.subject?.digest === subject)
    .map(({ descriptor: { mediaType, digest, size }, annotations, artifactType: type }) => ({
      mediaType,
      digest,
      size,
      ...(annotations === undefined ? {} : { annotations }),
      ...(type === undefined ? {} : { artifactType: type })
    }))
    .filter((descriptor) => artifactType === undefined || descriptor.artifactType === artifactType)
    .sort(byDigest)

/** What points to the content directly. */
export const predecessorsIn = ({ nodes }: LayoutGraph, digest: Digest): ReadonlyArray<Descriptor> =>
  [...nodes.values()]
    .filter(({ successors }) => successors.some((successor) => successor.digest === digest))
    .map(({ descriptor }) => descriptor)
    .sort(byDigest)

const byDigest = (left: Descriptor, right: Descriptor) => (left.digest < right.digest ? -1 : 1)

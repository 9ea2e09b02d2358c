/**
 * A content store over another that is only read: what is new goes into the upper one, nothing is copied.
 */
import { Effect, Option, Stream } from "effect"
import type { ContentStore } from "../../services/ContentStore.ts"
import type { Descriptor, Digest } from "../../services/Descriptor.ts"
import { compareUtf8 } from "../../streams/codec/canonicalJson.ts"

type Store = ContentStore["Service"]

const withoutRepeats = (descriptors: ReadonlyArray<Descriptor>): ReadonlyArray<Descriptor> => [
  ...new Map(descriptors.map((descriptor) => [descriptor.digest, descriptor])).values()
]

/** Deletions and garbage collection concern the upper store alone. */
export const overlayStore = (lower: Store, upper: Store): Store => {
  /** The store that has the content; the upper one where none has it. */
  const holderOf = (digest: Digest) =>
    Effect.map(Effect.zip(upper.exists(digest), lower.exists(digest)), ([above, below]) =>
      below && !above ? lower : upper
    )

  const both = <E>(
    ofStore: (store: Store) => Effect.Effect<ReadonlyArray<Descriptor>, E>
  ): Effect.Effect<ReadonlyArray<Descriptor>, E> =>
    Effect.map(Effect.zip(ofStore(lower), ofStore(upper)), ([below, above]) => withoutRepeats([...below, ...above]))

  return {
    ...upper,
    exists: (digest) =>
      Effect.flatMap(upper.exists(digest), (above) => (above ? Effect.succeed(true) : lower.exists(digest))),
    read: (descriptor) => Stream.unwrap(Effect.map(holderOf(descriptor.digest), (store) => store.read(descriptor))),
    readDocument: (descriptor) =>
      Effect.flatMap(holderOf(descriptor.digest), (store) => store.readDocument(descriptor)),
    open: (descriptor) => Effect.flatMap(holderOf(descriptor.digest), (store) => store.open(descriptor)),
    ingest: (descriptor, content) =>
      Effect.flatMap(lower.exists(descriptor.digest), (below) =>
        below ? Effect.void : upper.ingest(descriptor, content)
      ),
    resolve: (reference) =>
      Effect.catchTag(upper.resolve(reference), "ContentNotFound", () => lower.resolve(reference)),
    tags: Effect.map(Effect.zip(lower.tags, upper.tags), ([below, above]) =>
      [...new Map([...below, ...above].map((tagged) => [tagged.tag, tagged])).values()].sort((left, right) =>
        compareUtf8(left.tag, right.tag)
      )
    ),
    single: Effect.flatMap(upper.single, (found) => (Option.isSome(found) ? Effect.succeed(found) : lower.single)),
    referrers: (subject, artifactType) => both((store) => store.referrers(subject, artifactType)),
    predecessors: (digest) => both((store) => store.predecessors(digest)),
    blobs: Stream.concat(
      lower.blobs,
      Stream.filterEffect(upper.blobs, ({ digest }) => Effect.map(lower.exists(digest), (below) => !below))
    )
  }
}

/**
 * All of a content store that a layout answers without being changed, wherever its files lie.
 */
import { Effect } from "effect"
import type { ContentStore, ContentStoreFailed } from "../../services/ContentStore.ts"
import type { IndexFile } from "./indexFile.ts"
import type { Operation } from "./layoutFailure.ts"
import { makeLayoutBlobs } from "./layoutBlobs.ts"
import { type LayoutGraph, makeGraphLoader, predecessorsIn, referrersIn } from "./layoutGraph.ts"
import type { LayoutMedium } from "./layoutMedium.ts"
import { makeTags } from "./layoutTags.ts"

type Shape = ContentStore["Service"]

/** `refuseChange` fails where the store may only be read. */
export const makeLayoutReader = (
  medium: LayoutMedium,
  index: Omit<IndexFile, "save">,
  refuseChange: (operation: Operation, reference: string) => Effect.Effect<void, ContentStoreFailed>
) => {
  const { root, failure } = medium.attempts
  const blobs = makeLayoutBlobs(medium)
  const loadGraph = makeGraphLoader(medium, blobs.readDocument)

  const referrers: Shape["referrers"] = Effect.fn("ContentStoreLayout.referrers")(function* (subject, artifactType) {
    const graph = yield* loadGraph("referrers", yield* index.read("referrers", subject))
    yield* warnOfUnreadable(graph)
    return referrersIn(graph, subject, artifactType)
  })

  const predecessors: Shape["predecessors"] = Effect.fn("ContentStoreLayout.predecessors")(function* (digest) {
    const graph = yield* loadGraph("referrers", yield* index.read("referrers", digest))
    yield* warnOfUnreadable(graph)
    return predecessorsIn(graph, digest)
  })

  /** Fails where a manifest that `index.json` leads to is not what it says; one that is missing is none of our business. */
  const checkGraph = Effect.gen(function* () {
    const current = yield* index.read("open", root)
    const invalid = current.foreign.find((entry) => entry.invalid !== undefined)?.invalid
    if (invalid !== undefined) return yield* failure("open", root, `invalid OCI Image Index: ${invalid}`)
    const graph = yield* loadGraph("open", current)
    const damaged = graph.unreadable.find((manifest) => manifest.damaged)
    if (damaged === undefined) return
    const { digest } = damaged.descriptor
    const place = medium.pathOf(digest)
    return yield* failure(
      "open",
      root,
      `invalid OCI Image Index: ${digest}: ${damaged.reason}; remove ${place} and fetch it again`
    )
  })

  const store = { ...blobs, ...makeTags(medium, index, refuseChange), referrers, predecessors }
  return { store, loadGraph, checkGraph }
}

/** Content that is damaged refers to nothing; it must not hide what other manifests say. */
const warnOfUnreadable = ({ unreadable }: LayoutGraph) =>
  Effect.forEach(
    unreadable,
    ({ descriptor, reason }) => Effect.logWarning(`left out of the referrers: ${descriptor.digest}: ${reason}`),
    { discard: true }
  )

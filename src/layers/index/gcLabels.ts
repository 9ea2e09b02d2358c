/**
 * The labels that keep the parts of what was built as long as the whole (index-and-artifacts spec, 8.1); containerd reads them, an
 * OCI layout needs none.
 */
import { Clock, Effect } from "effect"
import type { ContentStore } from "../../services/ContentStore.ts"
import type { Descriptor, Digest } from "../../services/Descriptor.ts"
import { IndexNotKept } from "../../services/IndexBuilder.ts"
import { emptyObject } from "../../services/SociIndex.ts"

const reference = (name: string) => `containerd.io/gc.ref.content.${name}`
const rootLabel = "containerd.io/gc.root"

/** RFC 3339, whole seconds. */
const now = Effect.map(Clock.currentTimeMillis, (milliseconds) =>
  new Date(milliseconds).toISOString().replace(/\.\d+Z$/, "Z")
)

export const makeGcLabels = (store: ContentStore["Service"], image: string) => {
  const label = (parent: Digest, key: string, value: string) =>
    Effect.mapError(
      store.label(parent, key, value),
      (cause) =>
        new IndexNotKept({ image, attempted: `cannot apply garbage collection label to index ${parent}`, cause })
    )
  const labelAll = (parent: Digest, prefix: string, children: ReadonlyArray<Descriptor>) =>
    Effect.forEach(children, ({ digest }, i) => label(parent, reference(`${prefix}.${i}`), digest), { discard: true })

  return {
    /** Nothing else keeps what is labelled so. */
    root: (digest: Digest) => Effect.flatMap(now, (time) => label(digest, rootLabel, time)),
    /** A SOCI index keeps its config, its ztocs and its prefetch artifacts. */
    index: (index: Digest, blobs: ReadonlyArray<Descriptor>) =>
      Effect.andThen(label(index, reference("config"), emptyObject.digest), labelAll(index, "ztoc", blobs)),
    /** A converted manifest keeps its config and its layers. */
    manifest: (manifest: Digest, config: Digest, layers: ReadonlyArray<Descriptor>) =>
      Effect.andThen(label(manifest, reference("config"), config), labelAll(manifest, "l", layers)),
    /** A converted image keeps its manifests and SOCI indexes. */
    image: (index: Digest, manifests: ReadonlyArray<Descriptor>) => labelAll(index, "m", manifests)
  }
}

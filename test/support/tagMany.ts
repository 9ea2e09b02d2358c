/**
 * A process that gives content of a layout many tags: `tagMany.ts ROOT DIGEST SIZE PREFIX COUNT`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import * as ContentStoreLayout from "../../src/layers/ContentStoreLayout.ts"
import { ContentStore } from "../../src/services/ContentStore.ts"
import { Digest } from "../../src/services/Descriptor.ts"
import { MediaType } from "../../src/services/MediaType.ts"

const [root = "", digest = "", size = "", prefix = "", count = ""] = process.argv.slice(2)
const descriptor = { mediaType: MediaType.ociManifest, digest: Digest.make(digest), size: Number(size) }

ContentStore.use((store) =>
  Effect.forEach(
    Array.from({ length: Number(count) }, (_, i) => `${prefix}${i}`),
    (tag) => store.tag(descriptor, tag),
    { discard: true }
  )
).pipe(Effect.provide(ContentStoreLayout.layer({ root })), NodeRuntime.runMain)

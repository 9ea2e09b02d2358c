/**
 * Pushes graphs: looks at every node once, uploads blobs side by side, then manifests from the bottom up.
 */
import { Effect, Layer } from "effect"
import type { Descriptor, Digest } from "../services/Descriptor.ts"
import { type GraphContent, GraphPusher, type PushEvent } from "../services/GraphPusher.ts"
import { MalformedDocument } from "../services/Image.ts"
import { isIndexType, isManifestType } from "../services/MediaType.ts"
import { RegistryFetcher, type Repository } from "../services/RegistryFetcher.ts"
import { decodeImageIndex, decodeManifest } from "../streams/codec/imageDocuments.ts"

/** No graph we push is deeper: index, manifest, subject, blobs. A deeper one is hostile. */
const maxDepth = 8

interface ManifestNode {
  readonly descriptor: Descriptor
  readonly bytes: Uint8Array
}

/** The content a graph still needs uploaded: blobs in any order, manifests after what they refer to. */
interface Missing {
  readonly blobs: Array<Descriptor>
  readonly manifests: Array<ManifestNode>
}

const childrenOf = Effect.fnUntraced(function* ({ mediaType, digest }: Descriptor, bytes: Uint8Array) {
  if (isIndexType(mediaType)) {
    const index = yield* Effect.fromResult(decodeImageIndex(bytes, digest))
    return [...(index.subject ? [index.subject] : []), ...(index.manifests ?? [])]
  }
  const manifest = yield* Effect.fromResult(decodeManifest(bytes, digest))
  return [...(manifest.subject ? [manifest.subject] : []), manifest.config, ...(manifest.layers ?? [])]
})

export const layer = Layer.effect(
  GraphPusher,
  Effect.gen(function* () {
    const registry = yield* RegistryFetcher

    const push: GraphPusher["Service"]["push"] = Effect.fn("GraphPusher.push")(function* (
      content,
      root,
      repository,
      { concurrency, tag, mountFrom, onEvent = () => Effect.void }
    ) {
      yield* Effect.annotateCurrentSpan({ root: root.digest })
      const missing = yield* findMissing(content, root, repository, onEvent)
      yield* Effect.forEach(missing.blobs, (blob) => pushBlob(content, blob, repository, onEvent, mountFrom), {
        concurrency,
        discard: true
      })
      for (const { descriptor, bytes } of missing.manifests) {
        yield* onEvent({ _tag: "Pushing", descriptor })
        yield* registry.pushManifest(repository, descriptor, bytes)
        yield* onEvent({ _tag: "Pushed", descriptor })
      }
      if (tag !== undefined) {
        yield* registry.pushManifest(repository, root, yield* content.readDocument(root), tag)
      }
    })

    const pushBlob = Effect.fnUntraced(function* (
      content: GraphContent,
      descriptor: Descriptor,
      repository: Repository,
      onEvent: (event: PushEvent) => Effect.Effect<void>,
      mountFrom: string | undefined
    ) {
      const outcome = yield* registry.push(repository, descriptor, content.readBlob(descriptor), {
        verified: true,
        onMissing: onEvent({ _tag: "Pushing", descriptor }),
        ...(mountFrom === undefined ? {} : { mountFrom })
      })
      yield* onEvent({ _tag: outcome === "present" ? "Skipped" : "Pushed", descriptor })
    })

    const findMissing = Effect.fnUntraced(function* (
      content: GraphContent,
      root: Descriptor,
      repository: Repository,
      onEvent: (event: PushEvent) => Effect.Effect<void>
    ) {
      const seen = new Set<Digest>()
      const missing: Missing = { blobs: [], manifests: [] }
      const visit = Effect.fnUntraced(function* (
        descriptor: Descriptor,
        depth: number
      ): Effect.fn.Return<void, Effect.Error<ReturnType<GraphPusher["Service"]["push"]>>> {
        if (seen.has(descriptor.digest)) return
        seen.add(descriptor.digest)
        if (!isIndexType(descriptor.mediaType) && !isManifestType(descriptor.mediaType)) {
          missing.blobs.push(descriptor)
          return
        }
        if (yield* registry.exists(repository, descriptor)) return yield* onEvent({ _tag: "Skipped", descriptor })
        if (depth === maxDepth) {
          const reason = `manifests are nested more than ${maxDepth} deep`
          return yield* new MalformedDocument({ document: root.digest, reason })
        }
        const bytes = yield* content.readDocument(descriptor)
        for (const child of yield* childrenOf(descriptor, bytes)) yield* visit(child, depth + 1)
        missing.manifests.push({ descriptor, bytes })
      })
      yield* visit(root, 0)
      return missing
    })

    return GraphPusher.of({ push })
  })
)

/**
 * Images out of tars made by hand: in a content store, with their indexes where they are wanted.
 */
import { Effect, Stream } from "effect"
import { gzipSync } from "node:zlib"
import { hostPlatform } from "../../src/layers/hostPlatform.ts"
import type { ContentStore } from "../../src/services/ContentStore.ts"
import type { Descriptor } from "../../src/services/Descriptor.ts"
import { MediaType } from "../../src/services/MediaType.ts"
import { encodeManifest } from "../../src/streams/codec/imageDocuments.ts"
import { digestOf } from "../../src/streams/verify.ts"
import { descriptorOf, json } from "./content.ts"
import { type TarMember, tarOf } from "./tarArchive.ts"

/** Stores an image of gzip layers, bottom first, and gives it a tag. */
export const storeImageOf = Effect.fnUntraced(function* (
  store: ContentStore["Service"],
  tag: string,
  layers: ReadonlyArray<ReadonlyArray<TarMember>>
) {
  const put = (mediaType: string, bytes: Uint8Array) => {
    const descriptor = descriptorOf(bytes, mediaType)
    return Effect.as(store.ingest(descriptor, Stream.succeed(bytes)), descriptor)
  }
  const tars = layers.map((members) => tarOf(...members))
  const descriptors: Array<Descriptor> = []
  for (const tar of tars) descriptors.push(yield* put(MediaType.ociLayerGzip, gzipSync(tar)))
  const config = yield* put(
    MediaType.ociConfig,
    json({
      ...hostPlatform,
      config: { Env: ["PATH=/bin"] },
      rootfs: { type: "layers", diff_ids: tars.map(digestOf) },
      history: tars.map(() => ({ created_by: "test" }))
    })
  )
  const manifest = encodeManifest({ schemaVersion: 2, mediaType: MediaType.ociManifest, config, layers: descriptors })
  const target = yield* put(MediaType.ociManifest, manifest)
  yield* store.tag(target, tag)
  return target
})

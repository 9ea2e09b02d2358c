/**
 * A small image that tools of others accept: one layer with a few files, a configuration, a manifest.
 */
import { Effect, Stream } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { gzipSync } from "node:zlib"
import type { ContentStore } from "../../src/services/ContentStore.ts"
import type { Descriptor } from "../../src/services/Descriptor.ts"
import { MediaType } from "../../src/services/MediaType.ts"
import { digestOf } from "../../src/streams/verify.ts"
import { descriptorOf, json, noise } from "./content.ts"
import { temporaryDirectory } from "./temporaryDirectory.ts"

export interface SampleImage {
  readonly manifest: Descriptor
  readonly manifestBytes: Uint8Array
  readonly blobs: ReadonlyArray<readonly [Descriptor, Uint8Array]>
}

export const sampleImage: Effect.Effect<SampleImage> = Effect.scoped(
  Effect.gen(function* () {
    const directory = yield* temporaryDirectory
    yield* Effect.promise(() => fs.writeFile(path.join(directory, "hello"), "hello\n"))
    yield* Effect.promise(() => fs.writeFile(path.join(directory, "noise"), noise(500_000)))
    const tar = execFileSync("tar", [
      "-C",
      directory,
      "--mtime=@0",
      "--owner=0",
      "--group=0",
      "-cf",
      "-",
      "hello",
      "noise"
    ])
    const layer = gzipSync(tar)
    const config = json({
      architecture: "amd64",
      os: "linux",
      config: { Env: ["PATH=/bin"] },
      rootfs: { type: "layers", diff_ids: [digestOf(tar)] },
      history: [{ created_by: "test" }]
    })
    const blobs = [
      [descriptorOf(config, MediaType.ociConfig), config],
      [descriptorOf(layer, MediaType.ociLayerGzip), layer]
    ] as const
    const manifestBytes = json({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: blobs[0][0],
      layers: [blobs[1][0]]
    })
    return { manifest: descriptorOf(manifestBytes, MediaType.ociManifest), manifestBytes, blobs }
  })
)

export const storeImage = Effect.fnUntraced(function* (
  store: ContentStore["Service"],
  image: SampleImage,
  tag: string
) {
  for (const [descriptor, bytes] of image.blobs) yield* store.ingest(descriptor, Stream.make(bytes))
  yield* store.ingest(image.manifest, Stream.make(image.manifestBytes))
  yield* store.tag(image.manifest, tag)
})

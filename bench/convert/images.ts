/**
 * Images to measure with, in OCI layouts: the demo's, and one of about 500 MB of this machine's files.
 */
import { NodeServices } from "@effect/platform-node"
import { Context, Effect, Layer, Stream } from "effect"
import { createReadStream, readFileSync, rmSync, statSync } from "node:fs"
import { createHash } from "node:crypto"
import * as path from "node:path"
import { pipeline } from "node:stream/promises"
import { fileURLToPath } from "node:url"
import * as ContentStoreLayout from "../../src/layers/ContentStoreLayout.ts"
import { hostPlatform } from "../../src/layers/hostPlatform.ts"
import { makeImage } from "../../src/main/demo/makeImage.ts"
import { ContentStore } from "../../src/services/ContentStore.ts"
import { type Descriptor, Digest, hexOf } from "../../src/services/Descriptor.ts"
import { MediaType } from "../../src/services/MediaType.ts"
import { decodeManifest, encodeManifest } from "../../src/streams/codec/imageDocuments.ts"
import { digestOf } from "../../src/streams/verify.ts"
import { chooseFiles, makeLayer } from "../ztoc/realLayers.ts"

export interface BenchImage {
  readonly name: string
  readonly layout: string
  readonly target: Descriptor
  /** The compressed layers, as files. */
  readonly layers: ReadonlyArray<string>
  readonly size: number
}

const project = fileURLToPath(new URL("../../", import.meta.url)).replace(/\/$/, "")

const openLayout = (root: string) =>
  Effect.map(Layer.build(ContentStoreLayout.layer({ root })), (built) => Context.get(built, ContentStore))

const blobOf = (layout: string, digest: Digest) => path.join(layout, "blobs", "sha256", hexOf(digest))

const describe = Effect.fnUntraced(function* (name: string, layout: string, target: Descriptor) {
  const bytes = readFileSync(blobOf(layout, target.digest))
  const { layers } = yield* Effect.fromResult(decodeManifest(bytes, target.digest))
  const files = (layers ?? []).map(({ digest }) => blobOf(layout, digest))
  const size = files.reduce((sum, file) => sum + statSync(file).size, 0)
  console.log(`${name}: ${files.length} layers, ${(size / 1e6).toFixed(0)} MB compressed`)
  const image: BenchImage = { name, layout, target, layers: files, size }
  return image
})

export const demoImage = Effect.fnUntraced(function* (work: string) {
  const layout = path.join(work, "demo")
  const store = yield* openLayout(layout)
  const { target } = yield* makeImage(project, work).pipe(
    Effect.provideService(ContentStore, store),
    Effect.provide(NodeServices.layer)
  )
  return yield* describe("demo image", layout, target)
})

const digestOfFile = (file: string) =>
  Effect.promise(async () => {
    const hash = createHash("sha256")
    await pipeline(createReadStream(file, { highWaterMark: 1024 * 1024 }), hash)
    return Digest.make(`sha256:${hash.digest("hex")}`)
  })

/** Layers of so many uncompressed bytes, packed at the fastest level. */
export const machineImage = Effect.fnUntraced(function* (work: string, name: string, sizes: ReadonlyArray<number>) {
  const layout = path.join(work, name.replaceAll(" ", "-"))
  const store = yield* openLayout(layout)
  const put = (mediaType: string, bytes: Uint8Array) => {
    const descriptor: Descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length }
    return Effect.as(store.ingest(descriptor, Stream.succeed(bytes)), descriptor)
  }
  const layers: Array<Descriptor> = []
  for (const [i, files] of chooseFiles(sizes).entries()) {
    const file = path.join(work, `layer-${i}.tar.gz`)
    makeLayer(file, files, 1)
    const { size } = statSync(file)
    const descriptor: Descriptor = { mediaType: MediaType.ociLayerGzip, digest: yield* digestOfFile(file), size }
    const content = Stream.fromAsyncIterable(createReadStream(file, { highWaterMark: 1024 * 1024 }), (cause) => cause)
    yield* store.ingest(
      descriptor,
      Stream.map(content, (chunk: Buffer) => new Uint8Array(chunk))
    )
    rmSync(file)
    layers.push(descriptor)
  }
  const rootfs = { type: "layers", diff_ids: layers.map(({ digest }) => digest) }
  const config = yield* put(MediaType.ociConfig, Buffer.from(JSON.stringify({ ...hostPlatform, rootfs })))
  const manifest = encodeManifest({ schemaVersion: 2, mediaType: MediaType.ociManifest, config, layers })
  const target = yield* put(MediaType.ociManifest, manifest)
  yield* store.tag(target, "v1")
  return yield* describe(name, layout, target)
})

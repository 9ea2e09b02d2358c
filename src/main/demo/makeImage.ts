/**
 * Makes a real image out of files of this machine: the libraries that Node needs, Node itself, and this project with its dependencies,
 * as three gzip layers in an OCI image layout.
 */
import { NodeStream } from "@effect/platform-node"
import { Data, Effect, FileSystem, Path, Stream } from "effect"
import { Tar } from "effect/encoding"
import { createHash } from "node:crypto"
import { existsSync, readFileSync } from "node:fs"
import { createGzip } from "node:zlib"
import { describeContent } from "../../layers/index/describeContent.ts"
import { hostPlatform } from "../../layers/hostPlatform.ts"
import { ContentStore } from "../../services/ContentStore.ts"
import { type Descriptor, Digest } from "../../services/Descriptor.ts"
import { MediaType } from "../../services/MediaType.ts"
import { encodeManifest } from "../../streams/codec/imageDocuments.ts"
import { type HostEntry, HostPaths, parentEntries, treeEntries } from "./hostFiles.ts"

class PackingFailed extends Data.TaggedError("PackingFailed")<{ readonly cause: unknown }> {
  override get message(): string {
    return `cannot make the demo's image: ${String(this.cause)}`
  }
}

/** Where things are inside the image. */
export const inImage = { node: "usr/local/bin/node", app: "app" } as const

interface PackedLayer {
  readonly descriptor: Descriptor
  readonly file: string
  readonly diffId: string
  readonly uncompressedSize: number
}

/** The shared libraries this process runs on, its program interpreter among them. */
const librariesOfThisProcess = (): ReadonlyArray<string> => {
  const maps = readFileSync("/proc/self/maps", "utf8")
  const files = maps.split("\n").map((line) => line.slice(line.indexOf("/")))
  return [...new Set(files)].filter((file) => /^\/(?:usr\/)?lib.*\.so(?:\.[0-9]+)*$/.test(file)).toSorted()
}

const baseEntries = (): ReadonlyArray<HostEntry> => {
  const paths = new HostPaths()
  for (const library of librariesOfThisProcess()) paths.addLibrary(library)
  for (const interpreter of ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"]) {
    if (existsSync(interpreter)) paths.add(interpreter)
  }
  const texts = "/usr/share/common-licenses"
  const licences = existsSync(texts) ? [...parentEntries(texts.slice(1)), ...treeEntries(texts, texts.slice(1))] : []
  const mounts = ["dev", "etc", "proc", "sys"].map((name) => Tar.directory(name, { mode: 0o755 }))
  return [...mounts, Tar.directory("tmp", { mode: 0o1777 }), ...paths.entries, ...licences]
}

const nodeEntries = function* (): Generator<HostEntry> {
  yield* parentEntries(inImage.node)
  yield* treeEntries(process.execPath, inImage.node)
}

/** The project as it is installed; Node is in a layer of its own. */
const appEntries = function* (project: string): Generator<HostEntry> {
  const nodePackage = `${project}/node_modules/node`
  yield Tar.directory(inImage.app, { mode: 0o755 })
  for (const part of ["package.json", "src", "node_modules"]) {
    yield* treeEntries(`${project}/${part}`, `${inImage.app}/${part}`, (hostPath) => hostPath === nodePackage)
  }
}

const packLayer = Effect.fnUntraced(function* (entries: Iterable<HostEntry>, file: string) {
  const fs = yield* FileSystem.FileSystem
  const diff = createHash("sha256")
  const compressed = createHash("sha256")
  let uncompressedSize = 0
  let size = 0
  const tar = Stream.fromIterable(entries).pipe(
    Stream.pipeThroughChannelOrFail(Tar.encode<never, unknown, HostEntry>()),
    Stream.map((chunk) => {
      diff.update(chunk)
      uncompressedSize += chunk.length
      return chunk
    })
  )
  const gzip = NodeStream.pipeThroughDuplex(tar, {
    evaluate: () => createGzip({ chunkSize: 256 * 1024 }),
    onError: (cause) => new PackingFailed({ cause })
  })
  yield* gzip.pipe(
    Stream.map((chunk) => {
      compressed.update(chunk)
      size += chunk.length
      return chunk
    }),
    Stream.run(fs.sink(file))
  )
  const digest = Digest.make(`sha256:${compressed.digest("hex")}`)
  const packed: PackedLayer = {
    descriptor: { mediaType: MediaType.ociLayerGzip, digest, size },
    file,
    diffId: `sha256:${diff.digest("hex")}`,
    uncompressedSize
  }
  return packed
})

/** Makes the image in the content store; `directory` is for what must not outlive this. */
export const makeImage = Effect.fn("demo.makeImage")(function* (project: string, directory: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const store = yield* ContentStore
  const contents: ReadonlyArray<Iterable<HostEntry>> = [baseEntries(), nodeEntries(), appEntries(project)]
  const layers = yield* Effect.forEach(
    contents,
    (entries, i) => packLayer(entries, path.join(directory, `layer-${i}.tar.gz`)),
    { concurrency: 2 }
  )
  for (const { descriptor, file } of layers) {
    yield* store.ingest(descriptor, fs.stream(file, { chunkSize: 1024 * 1024 }))
    yield* fs.remove(file)
  }
  const document = (mediaType: string, bytes: Uint8Array) => {
    const descriptor = describeContent(mediaType, bytes)
    return Effect.as(store.ingest(descriptor, Stream.succeed(bytes)), descriptor)
  }
  const config = yield* document(
    MediaType.ociConfig,
    new TextEncoder().encode(
      JSON.stringify({
        ...hostPlatform,
        config: { Env: ["PATH=/usr/local/bin:/usr/bin:/bin"], WorkingDir: "/" },
        rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) }
      })
    )
  )
  const manifest = encodeManifest({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config,
    layers: layers.map(({ descriptor }) => descriptor)
  })
  const target = yield* document(MediaType.ociManifest, manifest)
  yield* store.tag(target, "demo")
  const size = layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0)
  const uncompressedSize = layers.reduce((sum, layer) => sum + layer.uncompressedSize, 0)
  return { target, size, uncompressedSize, layers: layers.length }
})

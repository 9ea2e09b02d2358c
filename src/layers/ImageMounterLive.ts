/**
 * Mounts images: each layer below a private directory, the stack of them where the caller wants it.
 */
import { Effect, Layer } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { causeMessage } from "../services/causeMessage.ts"
import type { FoundIndex, PlatformManifest } from "../services/ArtifactSource.ts"
import { BackgroundFetcher } from "../services/BackgroundFetcher.ts"
import type { Descriptor, Digest } from "../services/Descriptor.ts"
import {
  ImageMounter,
  type ImageMountOptions,
  type MountedImage,
  type MountedLayer,
  MountSetupFailed
} from "../services/ImageMounter.ts"
import { formatImageName } from "../services/ImageName.ts"
import type { SourceImage } from "../services/ImageSource.ts"
import { LayerMounter, type MountMode } from "../services/LayerMounter.ts"
import { LayerReader } from "../services/LayerReader.ts"
import type { LayerTree } from "../services/LayerTree.ts"
import { OverlayMounter } from "../services/OverlayMounter.ts"
import { ZtocBuilder } from "../services/ZtocBuilder.ts"
import { inheritDirectories } from "../streams/inheritDirectories.ts"
import { fetchLocalLayer } from "./image/localLayer.ts"
import { openAhead } from "./image/openAhead.ts"

export interface ImageMounterOptions {
  /** Where mounts get their private directories: on a disk, for an upper directory and layers that are fetched whole. */
  readonly directory: string
  /** Layers opened at the same time; 8. */
  readonly concurrency?: number
}

/** Opened and mounted, or fetched, so that images with many layers do not wait for one round trip after the other. */
const defaultConcurrency = 8

const makeDirectory = (directory: string) =>
  Effect.tryPromise({
    try: () => fs.mkdir(directory, { mode: 0o755 }).then(() => directory),
    catch: (cause) => new MountSetupFailed({ path: directory, reason: String(cause), cause })
  })

/** A directory with everything that belongs to one mount, removed at the end. */
const privateDirectory = (parent: string) =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        await fs.mkdir(parent, { recursive: true, mode: 0o700 })
        return await fs.mkdtemp(path.join(parent, "image-"))
      },
      catch: (cause) => new MountSetupFailed({ path: parent, reason: String(cause), cause })
    }),
    // Only what is ours goes: a mount that could not be taken away must not be emptied through this.
    (directory) => Effect.promise(() => removeTree(directory)).pipe(Effect.ignoreCause({ log: "Warn" }))
  )

const removeTree = async (directory: string): Promise<void> => {
  const { dev } = await fs.stat(directory)
  for (const entry of await fs.readdir(directory, { withFileTypes: true })) {
    const child = path.join(directory, entry.name)
    if (entry.isDirectory() && (await fs.lstat(child)).dev === dev) await removeTree(child)
    else if (!entry.isDirectory()) await fs.unlink(child)
  }
  await fs.rmdir(directory)
}

const copyAttributes = (from: string, to: string) =>
  Effect.tryPromise({
    try: async () => {
      const { uid, gid, mode, atime, mtime } = await fs.stat(from)
      await fs.chown(to, uid, gid)
      await fs.chmod(to, mode & 0o7777)
      await fs.utimes(to, atime, mtime)
    },
    catch: (cause) => new MountSetupFailed({ path: to, reason: String(cause), cause })
  })

const requireDirectory = (mountPoint: string) =>
  Effect.tryPromise({
    try: async () => {
      if (!(await fs.stat(mountPoint)).isDirectory()) throw new Error("it is not a directory")
    },
    catch: (cause) => new MountSetupFailed({ path: mountPoint, reason: causeMessage(cause), cause })
  })

export const layer = (options: ImageMounterOptions) =>
  Layer.effect(
    ImageMounter,
    Effect.gen(function* () {
      const reader = yield* LayerReader
      const layers = yield* LayerMounter
      const overlay = yield* OverlayMounter
      const ztocs = yield* ZtocBuilder
      const background = yield* BackgroundFetcher

      const openLayer = Effect.fnUntraced(function* (
        image: SourceImage,
        descriptor: Descriptor,
        index: FoundIndex | undefined,
        directory: string
      ) {
        const ztoc = index?.ztocs.get(descriptor.digest)
        if (index === undefined || ztoc === undefined) {
          const local = yield* fetchLocalLayer(image, descriptor, directory, ztocs)
          return { how: "local" as const, layer: yield* reader.open(local) }
        }
        const { digest } = descriptor
        const blob = yield* openAhead(
          descriptor,
          `${formatImageName(image.name)} ${digest}`,
          image.openBlob(descriptor)
        )
        const decoded = yield* index.readZtoc(ztoc)
        const layer = yield* reader.open({ digest, ztoc: decoded, blob })
        return { how: "lazy" as const, layer }
      })

      /** A layer that the image lists several times is opened and mounted once. */
      const openLayers = Effect.fnUntraced(function* (
        image: SourceImage,
        { manifest }: PlatformManifest,
        index: FoundIndex | undefined,
        directory: string
      ) {
        const different = new Map((manifest.layers ?? []).map((descriptor) => [descriptor.digest, descriptor]))
        return yield* Effect.forEach(
          different.values(),
          (descriptor) =>
            Effect.map(openLayer(image, descriptor, index, directory), (opened) => ({ descriptor, ...opened })),
          { concurrency: options.concurrency ?? defaultConcurrency }
        )
      })

      const mountLayer = Effect.fnUntraced(function* (
        { descriptor, how, layer }: Effect.Success<ReturnType<typeof openLayers>>[number],
        tree: LayerTree,
        directory: string,
        mode: MountMode
      ) {
        const mountPoint = yield* makeDirectory(directory)
        const mount = yield* layers.mount({ layer: { ...layer, tree }, mountPoint, mode, opaqueXattr: "trusted" })
        // The spans of a layer fetched whole come from its file: what came over the network is the layer.
        const stats = Effect.map(layer.spans.stats, (spans) =>
          how === "local" ? { ...spans, fetchedBytes: descriptor.size, requests: 1 } : spans
        )
        const mounted: MountedLayer = { descriptor, how, mount, stats }
        return mounted
      })

      const mountLayers = Effect.fnUntraced(function* (
        image: SourceImage,
        manifest: PlatformManifest,
        index: FoundIndex | undefined,
        directory: string,
        { mode, fill = false }: ImageMountOptions
      ) {
        const fetched = yield* makeDirectory(path.join(directory, "fetched"))
        const opened = yield* openLayers(image, manifest, index, fetched)
        const trees = inheritDirectories(opened.map(({ layer }) => layer.tree))
        const mounted = yield* Effect.forEach(
          opened,
          (layer, i) => mountLayer(layer, trees[i] ?? layer.layer.tree, path.join(directory, String(i)), mode),
          { concurrency: options.concurrency ?? defaultConcurrency }
        )
        if (fill) {
          const lazy = opened.filter(({ how }) => how === "lazy")
          yield* Effect.forEach(lazy, ({ layer }) => background.add(layer.spans), { discard: true })
        }
        const byDigest = new Map<Digest, MountedLayer>(mounted.map((layer) => [layer.descriptor.digest, layer]))
        return (manifest.manifest.layers ?? []).flatMap(({ digest }) => byDigest.get(digest) ?? [])
      })

      /** The root that is seen is the upper directory's: it looks as the root below. */
      const upperDirectories = Effect.fnUntraced(function* (directory: string, top: string | undefined) {
        const upperDir = yield* makeDirectory(path.join(directory, "upper"))
        if (top !== undefined) yield* copyAttributes(top, upperDir)
        const workDir = yield* makeDirectory(path.join(directory, "work"))
        return { upperDir, workDir }
      })

      return ImageMounter.of({
        mount: Effect.fn("ImageMounter.mount")(function* (image, manifest, index, mountOptions) {
          const { mountPoint, writable } = mountOptions
          yield* requireDirectory(mountPoint)
          const directory = yield* privateDirectory(options.directory)
          const mounted = yield* mountLayers(image, manifest, index, directory, mountOptions)
          yield* overlay.mount({
            mountPoint,
            lowerDirs: mounted.map(({ mount }) => mount.mountPoint).toReversed(),
            ...(writable ? yield* upperDirectories(directory, mounted.at(-1)?.mount.mountPoint) : {})
          })
          const different = [...new Set(mounted)]
          const result: MountedImage = {
            mountPoint,
            manifest,
            layers: mounted,
            fetchedBytes: Effect.map(
              Effect.forEach(different, ({ stats }) => stats),
              (all) => all.reduce((sum, { fetchedBytes }) => sum + fetchedBytes, 0)
            )
          }
          return result
        })
      })
    })
  )

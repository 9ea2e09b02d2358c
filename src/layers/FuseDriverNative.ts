/**
 * FUSE through libfuse 2, by the package fuse-native: for those who want libfuse's mounts. Paths are text, requests are answered on the main
 * thread, a waiting read holds a thread of libfuse; what this driver cannot do is listed in docs/fuse-native.md.
 *
 * Whoever serves must not wait for his own mounts synchronously: he would wait for himself.
 */
import { Effect, Layer } from "effect"
import { closeSync, openSync } from "node:fs"
import { isMainThread } from "node:worker_threads"
import { causeMessage } from "../services/causeMessage.ts"
import { FuseDriver, FuseDriverUnavailable, MountFailed } from "../services/FuseDriver.ts"
import type { LayerSpans } from "../services/SpanStore.ts"
import { makeBlobMount } from "./fuse/blobMount.ts"
import { takeFirstFlush } from "./fuse/firstFlush.ts"
import { statisticsOf } from "./fuse/spanStatistics.ts"
import { NativeBlobs } from "./fuseNative/NativeBlobs.ts"
import type { NativeSource } from "./fuseNative/NativeFiles.ts"
import { openNativeMount } from "./fuseNative/nativeMount.ts"
import { nativeOptions } from "./fuseNative/nativeOptions.ts"
import { NativeTree } from "./fuseNative/NativeTree.ts"
import { loadFuseNative } from "./native/fuseNative.ts"

/** What /proc/mounts shows, as with the kernel driver. */
const treeSubtype = "rawBridge"
const blobSubtype = "sociblobs"

export const layer: Layer.Layer<FuseDriver, FuseDriverUnavailable> = Layer.effect(
  FuseDriver,
  Effect.gen(function* () {
    yield* load
    const served = new Set<number>()

    const mountTree: FuseDriver["Service"]["mountTree"] = Effect.fn("FuseDriver.mountTree")(function* (options) {
      const { mountPoint, source, layer, opaqueXattr } = options
      yield* Effect.annotateCurrentSpan({ mountPoint, layer: layer.spans.layer })
      const statistics = yield* statisticsOf(layer.spans)
      const lent = yield* lend(layer.spans, mountPoint)
      const files = new NativeTree({ tree: layer.tree, source: lent, opaqueXattr, statistics })
      if (files.names.oddNames > 0) {
        yield* Effect.logWarning(
          `${mountPoint}: ${files.names.oddNames} names are no UTF-8, and are shown otherwise than they are`
        )
      }
      const mount = yield* openNativeMount({
        mountPoint,
        options: nativeOptions(source, treeSubtype, "tree"),
        files,
        served
      })
      yield* takeFirstFlush(mountPoint, layer.tree)
      return { mountPoint, counts: mount.counts }
    })

    const mountBlobs: FuseDriver["Service"]["mountBlobs"] = Effect.fn("FuseDriver.mountBlobs")(function* (options) {
      const { mountPoint, source } = options
      const files = new NativeBlobs()
      const mount = yield* openNativeMount({
        mountPoint,
        options: nativeOptions(source, blobSubtype, "blobs"),
        files,
        served
      })
      return makeBlobMount<NativeSource>({
        mountPoint,
        counts: mount.counts,
        ofLayer: (spans) => lend(spans, mountPoint),
        ofBytes: (bytes) => ({ kind: "bytes", bytes: bytes.slice() }),
        show: (file) => Effect.sync(() => files.add(file)),
        hide: (node) =>
          Effect.sync(() => {
            const taken = files.remove(node)
            if (taken !== undefined) mount.abandon(taken)
          })
      })
    })

    return FuseDriver.of({ implementation: "fuse-native", mountTree, mountBlobs })
  })
)

/** The file of a layer's stream, open until the scope ends. */
const lend = (spans: LayerSpans, mountPoint: string) =>
  Effect.acquireRelease(
    Effect.try({
      try: (): NativeSource => ({ kind: "layer", descriptor: openSync(spans.path, "r"), spans }),
      catch: (cause) =>
        new MountFailed({
          type: "fuse",
          mountPoint,
          reason: `${spans.path} cannot be opened: ${causeMessage(cause)}`,
          cause
        })
    }),
    (source) => Effect.sync(() => source.kind === "layer" && closeSync(source.descriptor))
  )

const unavailable = (reason: string, cause?: unknown) =>
  new FuseDriverUnavailable({ implementation: "fuse-native", reason, ...(cause !== undefined && { cause }) })

/** What is missing, by what loading said. */
const missing = (cause: unknown): string => {
  const said = causeMessage(cause)
  if (/libfuse\.so/.test(said)) {
    return `the library libfuse.so.2 is missing: install the Debian package libfuse2, or libfuse2t64 (${said})`
  }
  if (/No native build/.test(said)) {
    return `the npm package fuse-native has no binary for this machine: "npm rebuild fuse-native" builds one with a C compiler (${said})`
  }
  if (/Cannot find|MODULE_NOT_FOUND|fuse-native/.test(said)) {
    return `the npm package fuse-native is missing: "npm install fuse-native@2.2.6" installs it (${said})`
  }
  return said
}

const load = Effect.suspend(() =>
  isMainThread
    ? Effect.try({ try: loadFuseNative, catch: (cause) => unavailable(missing(cause), cause) })
    : unavailable("fuse-native answers on the main thread only, and this is a worker thread")
)

/**
 * FUSE spoken straight to the kernel: no libfuse, no fusermount. A fixed number of threads serves all mounts; the main thread only hears
 * of reads whose bytes are not local.
 */
import { Effect, Layer } from "effect"
import { FuseDriver, MountFailed } from "../services/FuseDriver.ts"
import { makeBlobMount } from "./fuse/blobMount.ts"
import { takeFirstFlush } from "./fuse/firstFlush.ts"
import type { BytesSourceMessage, LayerSourceMessage } from "./fuse/fuseMessages.ts"
import { letReadAhead } from "./readAhead.ts"
import { makeFuseSessions } from "./fuse/FuseSessions.ts"
import { statisticsOf } from "./fuse/spanStatistics.ts"

export interface FuseDriverOptions {
  /** Threads that serve all mounts; 2. */
  readonly threads?: number
}

/** What /proc/mounts shows for trees, and harnesses count. */
const treeFileSystem = "fuse.rawBridge"
const blobFileSystem = "fuse.sociblobs"

export const layer = (options: FuseDriverOptions = {}): Layer.Layer<FuseDriver> =>
  Layer.effect(
    FuseDriver,
    Effect.gen(function* () {
      const sessions = yield* makeFuseSessions(options.threads ?? 2)

      const mountTree: FuseDriver["Service"]["mountTree"] = Effect.fn("FuseDriver.mountTree")(function* (tree) {
        const { mountPoint, source, layer, opaqueXattr } = tree
        yield* Effect.annotateCurrentSpan({ mountPoint, layer: layer.spans.layer })
        const statistics = yield* statisticsOf(layer.spans)
        const session = yield* sessions.open({
          mountPoint,
          source,
          fileSystem: treeFileSystem,
          content: Effect.map(sessions.lend(layer.spans, mountPoint), (lent) => ({
            kind: "tree" as const,
            tree: layer.tree.buffer,
            source: lent,
            opaqueXattr,
            statistics
          }))
        })
        yield* checkAnswers(mountPoint)
        yield* takeFirstFlush(mountPoint, layer.tree)
        return { mountPoint, counts: session.counts }
      })

      const mountBlobs: FuseDriver["Service"]["mountBlobs"] = Effect.fn("FuseDriver.mountBlobs")(function* (blobs) {
        const { mountPoint, source } = blobs
        const content = Effect.succeed({ kind: "blobs" as const })
        const session = yield* sessions.open({ mountPoint, source, fileSystem: blobFileSystem, content })
        yield* checkAnswers(mountPoint)
        const { mount, counts } = session
        return makeBlobMount<LayerSourceMessage | BytesSourceMessage>({
          mountPoint,
          counts,
          ofLayer: (spans) => sessions.lend(spans, mountPoint),
          ofBytes: (bytes) => ({ kind: "bytes", bytes: shared(bytes) }),
          show: (file) => sessions.change({ type: "addFile", mount, ...file }),
          hide: (node) => sessions.change({ type: "removeFile", mount, node })
        })
      })

      return FuseDriver.of({ implementation: "kernel", mountTree, mountBlobs })
    })
  )

/** Bytes that threads share; copied unless they are. */
const shared = (bytes: Uint8Array): Uint8Array<SharedArrayBuffer> => {
  const { buffer, byteOffset, length } = bytes
  if (buffer instanceof SharedArrayBuffer) return new Uint8Array(buffer, byteOffset, length)
  const copy = new Uint8Array(new SharedArrayBuffer(length))
  copy.set(bytes)
  return copy
}

/** Asks a mount for its root, so that a kernel that cannot speak with us is found out now. */
const checkAnswers = (mountPoint: string): Effect.Effect<void, MountFailed> =>
  Effect.mapError(
    letReadAhead(mountPoint),
    (cause) =>
      new MountFailed({
        type: "fuse",
        mountPoint,
        reason: `the kernel does not speak with us (it must be Linux 5.4 or newer): ${cause.message}`,
        cause
      })
  )

/**
 * FUSE spoken straight to the kernel: no libfuse, no fusermount. A fixed number of threads serves all mounts; the main thread only hears
 * of reads whose bytes are not local.
 */
import { Effect, Layer } from "effect"
import { statfs } from "node:fs/promises"
import { type BlobMount, FuseDriver, MountFailed } from "../services/FuseDriver.ts"
import type { LayerSpans } from "../services/SpanStore.ts"
import { rootId } from "../streams/codec/fuse.ts"
import type { FuseStatistics } from "../streams/codec/fuseReply.ts"
import { takeFirstFlush } from "./fuse/firstFlush.ts"
import type { BytesSourceMessage, LayerSourceMessage } from "./fuse/fuseMessages.ts"
import { letReadAhead } from "./readAhead.ts"
import { type FuseSession, type FuseSessions, makeFuseSessions } from "./fuse/FuseSessions.ts"

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
        return makeBlobMount(sessions, session, mountPoint)
      })

      return FuseDriver.of({ implementation: "kernel", mountTree, mountBlobs })
    })
  )

const makeBlobMount = (sessions: FuseSessions, { mount, counts }: FuseSession, mountPoint: string): BlobMount => {
  const names = new Set<string>()
  let nodes = rootId

  const claim = (name: string) =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        const reason = names.has(name) ? "there is one of that name" : invalidName(name)
        if (reason !== undefined) {
          return new MountFailed({ type: "fuse", mountPoint, reason: `the file "${name}" cannot be shown: ${reason}` })
        }
        names.add(name)
        return Effect.succeed(++nodes)
      }),
      () => Effect.sync(() => names.delete(name))
    )

  const add = Effect.fnUntraced(function* (
    name: string,
    size: number,
    source: LayerSourceMessage | BytesSourceMessage
  ) {
    const node = yield* claim(name)
    yield* Effect.acquireRelease(sessions.change({ type: "addFile", mount, node, name, size, source }), () =>
      sessions.change({ type: "removeFile", mount, node })
    )
    return `${mountPoint}/${name}`
  })

  return {
    mountPoint,
    counts,
    addLayer: (name, spans) =>
      Effect.flatMap(sessions.lend(spans, mountPoint), (source) => add(name, spans.size, source)),
    addBytes: (name, bytes) => Effect.suspend(() => add(name, bytes.length, { kind: "bytes", bytes: shared(bytes) }))
  }
}

/** File names of Linux: at most 255 bytes, neither empty nor dots, without slash and NUL. */
const invalidName = (name: string): string | undefined => {
  if (name === "" || name === "." || name === ".." || /[/\0]/.test(name)) return "that is no file name"
  return Buffer.byteLength(name) > 255 ? "the name is longer than 255 bytes" : undefined
}

/** Bytes that threads share; copied unless they are. */
const shared = (bytes: Uint8Array): Uint8Array<SharedArrayBuffer> => {
  const { buffer, byteOffset, length } = bytes
  if (buffer instanceof SharedArrayBuffer) return new Uint8Array(buffer, byteOffset, length)
  const copy = new Uint8Array(new SharedArrayBuffer(length))
  copy.set(bytes)
  return copy
}

const unknownStatistics: FuseStatistics = {
  blocks: 0,
  blocksFree: 0,
  blocksAvailable: 0,
  files: 0,
  filesFree: 0,
  blockSize: 4096
}

/** Of the file system that holds the layer's spans, as far as it says (lazy-filesystem spec, 6.2). */
const statisticsOf = (spans: LayerSpans): Effect.Effect<FuseStatistics> =>
  Effect.tryPromise(() => statfs(spans.path)).pipe(
    Effect.map((found) => ({
      blocks: found.blocks,
      blocksFree: found.bfree,
      blocksAvailable: found.bavail,
      files: found.files,
      filesFree: found.ffree,
      blockSize: found.bsize
    })),
    Effect.orElseSucceed(() => unknownStatistics)
  )

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

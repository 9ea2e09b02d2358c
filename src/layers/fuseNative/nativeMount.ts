/**
 * A mount by libfuse, in a scope. Requests are answered on the main thread as they come.
 *
 * At the end the file system is unmounted, what waits gets EIO, and libfuse's threads and descriptor go; if files are still open, they go
 * with the last of those, and whoever uses them gets EIO for all that kernels have not cached.
 */
import { Effect, Schedule, type Scope } from "effect"
import { stat } from "node:fs/promises"
import { causeMessage } from "../../services/causeMessage.ts"
import { type FuseMount, MountFailed } from "../../services/FuseDriver.ts"
import { Errno } from "../../streams/codec/fuse.ts"
import { mountFailed, unmount } from "../kernelMount.ts"
import { closeOnExec, maxTextBytes, mountNative, type NativeOperations } from "../native/fuseNative.ts"
import { letReadAhead } from "../readAhead.ts"
import { isFuseDevice, openFuseDevices } from "./fuseDevices.ts"
import type { NativeFiles, NativeSource } from "./NativeFiles.ts"
import { makeNativeReads, type NativeReads } from "./nativeReads.ts"

export interface NativeMountOptions {
  readonly mountPoint: string
  /** Those of libfuse, parted by commas. */
  readonly options: string
  readonly files: NativeFiles
  /** Devices of the file systems that this process serves so: whoever asked them something synchronously would wait for himself. */
  readonly served: Set<number>
}

export interface NativeMount extends FuseMount {
  /** Answers with EIO whatever waits for a source. */
  abandon(source: NativeSource): void
}

const failed = (mountPoint: string, reason: string, cause?: unknown) =>
  new MountFailed({ type: "fuse", mountPoint, reason, ...(cause !== undefined && { cause }) })

const statOf = (mountPoint: string) =>
  Effect.tryPromise({
    try: () => stat(mountPoint),
    catch: (cause) => {
      const errno = cause instanceof Error && "errno" in cause && typeof cause.errno === "number" ? -cause.errno : 0
      return errno > 0 ? mountFailed("fuse", mountPoint, errno) : failed(mountPoint, causeMessage(cause), cause)
    }
  })

/** libfuse looks at the place by itself, synchronously, and gives no reason where it will not do. */
const checkPlace = Effect.fnUntraced(function* ({ mountPoint, options, served }: NativeMountOptions) {
  if ([mountPoint, options].some((text) => Buffer.byteLength(text) > maxTextBytes)) {
    return yield* failed(mountPoint, `fuse-native takes paths and options of at most ${maxTextBytes} bytes`)
  }
  const found = yield* statOf(mountPoint)
  if (!found.isDirectory()) return yield* failed(mountPoint, "it is no directory")
  if (served.has(found.dev)) {
    return yield* failed(mountPoint, "it lies in a file system that this process serves through fuse-native itself")
  }
})

interface Started {
  readonly letGo: () => void
  readonly device: number | undefined
}

const start = ({ mountPoint, options }: NativeMountOptions, operations: NativeOperations) =>
  Effect.try({
    try: (): Started => {
      const before = openFuseDevices()
      const letGo = mountNative(mountPoint, options, operations)
      const device = [...openFuseDevices()].find((descriptor) => !before.has(descriptor))
      // libfuse 2 leaves it to every child, which would keep the mount alive.
      if (device !== undefined) closeOnExec(device)
      return { letGo, device }
    },
    catch: (cause) =>
      failed(mountPoint, "libfuse refused it, for the reason it gave on standard error (is there a /dev/fuse?)", cause)
  })

/** The threads of libfuse end soon after their mount has; those of a busy one are not waited for. */
const threadsEnd = Schedule.spaced("5 millis").pipe(Schedule.upTo({ times: 40 }))

const untilClosed = (device: number): Effect.Effect<unknown> =>
  Effect.sync(() => isFuseDevice(device)).pipe(Effect.repeat({ schedule: threadsEnd, while: (open) => open }))

/** Answers operations from files, until the mount has ended. */
const operationsOf = (
  files: NativeFiles,
  reads: NativeReads,
  fault: NativeOperations["fault"]
): { readonly operations: NativeOperations; readonly requests: () => number; readonly end: () => void } => {
  let requests = 0
  let ended = false
  const answer = <A>(call: () => A): A | number => {
    requests++
    return ended ? -Errno.EIO : call()
  }
  return {
    operations: {
      statistics: files.statistics,
      attributes: (path) => answer(() => files.attributes(path)),
      list: (path) => answer(() => files.list(path)),
      target: (path) => answer(() => files.target(path)),
      xattr: (path, key) => answer(() => files.xattr(path, key)),
      xattrs: (path) => answer(() => files.xattrs(path)),
      open: (path) => answer(() => files.open(path)),
      read: (read, done) => {
        const refused = answer(() => reads.read(read, done))
        if (typeof refused === "number") done(refused)
      },
      fault
    },
    requests: () => requests,
    end: () => {
      ended = true
      reads.abandon()
    }
  }
}

export const openNativeMount = Effect.fnUntraced(function* (
  options: NativeMountOptions
): Effect.fn.Return<NativeMount, MountFailed, Scope.Scope> {
  const { mountPoint, files, served } = options
  yield* checkPlace(options)
  const reads = yield* makeNativeReads(files)
  const fork = Effect.runForkWith(yield* Effect.context())
  const { operations, requests, end } = operationsOf(files, reads, (operation, cause) => {
    fork(Effect.logError(`the operation ${operation} on ${mountPoint} met a defect`, cause))
  })
  yield* Effect.acquireRelease(start(options, operations), ({ letGo, device }) =>
    unmount(mountPoint).pipe(
      Effect.andThen(Effect.sync(end)),
      Effect.andThen(device === undefined ? Effect.void : untilClosed(device)),
      Effect.ensuring(Effect.sync(letGo))
    )
  )
  yield* Effect.mapError(letReadAhead(mountPoint), (cause) =>
    failed(mountPoint, `it does not answer: ${cause.message}`, cause)
  )
  const { dev } = yield* statOf(mountPoint)
  yield* Effect.acquireRelease(
    Effect.sync(() => served.add(dev)),
    () => Effect.sync(() => served.delete(dev))
  )
  return {
    mountPoint,
    counts: Effect.sync(() => ({ requests: requests(), waited: reads.waited() })),
    abandon: reads.abandon
  }
})

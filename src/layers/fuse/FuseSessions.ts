/**
 * The mounts of a FUSE driver: each is a session with /dev/fuse that threads serve, whose waiting reads run in its scope.
 *
 * A session that ends is unmounted first, then left by the threads, which answer what still waits; then its descriptors are closed, and
 * whoever still uses the file system gets errors. If the threads crash, all sessions end.
 */
import { Effect, Exit, Scope } from "effect"
import { closeSync, constants, openSync } from "node:fs"
import { causeMessage } from "../../services/causeMessage.ts"
import { MountFailed } from "../../services/FuseDriver.ts"
import type { LayerSpans } from "../../services/SpanStore.ts"
import { maxReadBytes } from "../../streams/codec/fuseInit.ts"
import { mountScoped } from "../kernelMount.ts"
import { MountFlag } from "../native/mount.ts"
import type { ContentMessage, FuseChange, LayerSourceMessage } from "./fuseMessages.ts"
import { type FuseReport, startFuseThreads } from "./FuseThreads.ts"
import { isBeingKilled } from "./pendingKill.ts"
import { makeWaitingReads, type WaitingReads } from "./WaitingReads.ts"

export interface SessionOptions {
  readonly mountPoint: string
  readonly source: string
  /** As mount(2) wants it: `fuse` or `fuse.<subtype>`. */
  readonly fileSystem: string
  /** Made in the session's scope. */
  readonly content: Effect.Effect<ContentMessage, MountFailed, Scope.Scope>
}

export interface FuseSession {
  readonly mount: number
  readonly counts: Effect.Effect<{ readonly requests: number; readonly waited: number }>
}

export interface FuseSessions {
  open(options: SessionOptions): Effect.Effect<FuseSession, MountFailed, Scope.Scope>
  /** Lets threads read a layer's stream, as long as the scope is open. */
  lend(spans: LayerSpans, mountPoint: string): Effect.Effect<LayerSourceMessage, MountFailed, Scope.Scope>
  change(change: FuseChange): Effect.Effect<void>
}

/** `nodev` forbids only to open device files by this mount: an overlay above it opens them by its own. */
const flags = MountFlag.readOnly | MountFlag.noDevices

/** The mode in `rootmode` is octal, and only its type counts. */
const mountData = (descriptor: number) =>
  `fd=${descriptor},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,max_read=${maxReadBytes}`

export const makeFuseSessions = Effect.fnUntraced(function* (
  threadCount: number
): Effect.fn.Return<FuseSessions, never, Scope.Scope> {
  const open = new Map<number, { readonly waiting: WaitingReads; readonly scope: Scope.Closeable }>()
  const lent = new Map<number, LayerSpans>()
  let mounts = 0
  let sources = 0

  const fork = Effect.runForkWith(yield* Effect.context())
  const hear = (thread: number, report: FuseReport): void => {
    switch (report.type) {
      case "wait": {
        const { read } = report
        const spans = lent.get(read.source)
        const waiting = open.get(read.mount)?.waiting
        // A session that ends answers for itself.
        if (waiting !== undefined && spans !== undefined) {
          waiting.wait(read, spans, (outcome) =>
            threads.resume(thread, { mount: read.mount, ticket: read.ticket, outcome })
          )
        }
        return
      }
      case "interrupt":
        return open.get(report.mount)?.waiting.interrupt(report.unique)
      case "fault":
        fork(Effect.logError(`FUSE request with opcode ${report.opcode} met a defect`, report.cause))
    }
  }
  const threads = yield* startFuseThreads(threadCount, hear)

  const endAll = Effect.suspend(() =>
    Effect.forEach([...open.values()], ({ scope }) => Scope.close(scope, Exit.void), { discard: true })
  )
  yield* Effect.addFinalizer(() => endAll)
  yield* threads.crash.pipe(
    Effect.tap((cause) => Effect.logFatal("a thread that serves FUSE died; all its mounts are unmounted", cause)),
    Effect.andThen(endAll),
    Effect.forkScoped
  )

  const serve = Effect.fnUntraced(function* (options: SessionOptions, scope: Scope.Closeable) {
    const { mountPoint, source, fileSystem } = options
    const mount = ++mounts
    const content = yield* options.content
    const descriptor = yield* openScoped("/dev/fuse", constants.O_RDWR | constants.O_NONBLOCK, mountPoint)
    const waiting = yield* makeWaitingReads(isBeingKilled)
    const counters = new Float64Array(new SharedArrayBuffer(threads.count * 2 * 8))
    yield* Effect.acquireRelease(
      Effect.sync(() => open.set(mount, { waiting, scope })),
      () =>
        Effect.ensuring(
          threads.change({ type: "leave", mount }),
          Effect.sync(() => open.delete(mount))
        )
    )
    yield* mountScoped({ type: "fuse", fileSystem, source, mountPoint, flags, data: mountData(descriptor) })
    // A device that is not mounted yet cannot be waited for.
    yield* threads.change({ type: "serve", mount, descriptor, counters, content })
    return { mount, counts: Effect.sync(() => countsOf(counters)) }
  })

  return {
    open: (options) =>
      Effect.gen(function* () {
        const scope = yield* Effect.acquireRelease(Scope.make(), (scope, exit) => Scope.close(scope, exit))
        return yield* Scope.provide(serve(options, scope), scope)
      }),
    lend: (spans, mountPoint) =>
      Effect.gen(function* () {
        const descriptor = yield* openScoped(spans.path, constants.O_RDONLY, mountPoint)
        const id = ++sources
        yield* Effect.acquireRelease(
          Effect.sync(() => lent.set(id, spans)),
          () => Effect.sync(() => lent.delete(id))
        )
        return { kind: "layer", id, descriptor, table: spans.table.buffer }
      }),
    change: threads.change
  }
})

const countsOf = (counters: Float64Array) => {
  let requests = 0
  let waited = 0
  for (let at = 0; at < counters.length; at += 2) {
    requests += counters[at] ?? 0
    waited += counters[at + 1] ?? 0
  }
  return { requests, waited }
}

const openScoped = (path: string, how: number, mountPoint: string) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => openSync(path, how),
      catch: (cause) =>
        new MountFailed({
          type: "fuse",
          mountPoint,
          reason: `${path} cannot be opened: ${causeMessage(cause)}`,
          cause
        })
    }),
    (descriptor) => Effect.sync(() => closeSync(descriptor))
  )

/**
 * A process that serves mounts for a test, by the fuse-native driver: that must be on the main thread of its process, and nobody may wait
 * for a mount on the thread that serves it. It ends by itself once it is told to, with nothing left that keeps it alive.
 */
import { Deferred, Effect, Exit, Scope } from "effect"
import * as FuseDriverNative from "../../src/layers/FuseDriverNative.ts"
import { type BlobMount, FuseDriver, type FuseMount, MountFailed } from "../../src/services/FuseDriver.ts"
import { type LayerSpans, SpanUnavailable } from "../../src/services/SpanStore.ts"
import { firstSpan, lastSpan, markPresent, viewSpanTable } from "../../src/streams/spanTable.ts"
import { viewLayerTree } from "../../src/streams/layerTreeView.ts"
import { digestOf } from "../../src/streams/verify.ts"
import type { FromHost, HostAnswer, HostedSpans, HostRequest, SupplyAnswer, ToHost } from "./fuseHostMessages.ts"

const send = (message: FromHost) => process.send?.(message)

const shared = (bytes: Uint8Array): SharedArrayBuffer => {
  const buffer = new SharedArrayBuffer(bytes.length)
  new Uint8Array(buffer).set(bytes)
  return buffer
}

const reads = new Map<number, Deferred.Deferred<SupplyAnswer>>()
let readCount = 0

const unused = Effect.die(new Error("a driver does not ask for it"))

/** Spans whose table is a copy: what the test has made local is known here once it was asked for. */
const spansOf = ({ id, layer, path, size, table: bytes }: HostedSpans): LayerSpans => {
  const table = viewSpanTable(shared(bytes))
  return {
    layer: digestOf(Buffer.from(layer)),
    path,
    size,
    table,
    supply: (offset, length) =>
      Effect.gen(function* () {
        const read = ++readCount
        const answered = Deferred.makeUnsafe<SupplyAnswer>()
        reads.set(read, answered)
        send({ type: "supply", read, spans: id, offset, length })
        const answer = yield* Deferred.await(answered).pipe(
          Effect.onInterrupt(() => Effect.sync(() => send({ type: "giveUp", read }))),
          Effect.ensuring(Effect.sync(() => reads.delete(read)))
        )
        if (answer.kind === "bytes") return answer.bytes
        if (answer.kind === "failed") {
          return yield* new SpanUnavailable({ layer, span: 0, kind: "network", reason: answer.reason })
        }
        const last = lastSpan(table, offset, length)
        for (let span = firstSpan(table, offset, length); span <= last; span++) markPresent(table, span)
        return undefined
      }),
    ensure: () => unused,
    read: () => unused,
    fill: () => unused,
    hold: unused,
    stats: unused
  }
}

const program = Effect.gen(function* () {
  const driver = yield* FuseDriver
  const scope = yield* Effect.scope
  const scopes = new Map<number, Scope.Closeable>()
  const mounts = new Map<number, FuseMount>()
  const blobs = new Map<number, BlobMount>()

  const perform = (id: number, request: HostRequest): Effect.Effect<HostAnswer, MountFailed, Scope.Scope> =>
    Effect.gen(function* () {
      switch (request.type) {
        case "mountTree": {
          const { mountPoint, source, opaqueXattr } = request
          const layer = {
            tree: viewLayerTree(shared(request.tree)),
            spans: spansOf(request.spans),
            readFile: () => unused
          }
          mounts.set(id, yield* driver.mountTree({ mountPoint, source, opaqueXattr, layer }))
          return { type: "done" }
        }
        case "mountBlobs": {
          const mount = yield* driver.mountBlobs(request)
          mounts.set(id, mount)
          blobs.set(id, mount)
          return { type: "done" }
        }
        case "addLayer":
        case "addBytes": {
          const mount = blobs.get(request.mount)
          if (mount === undefined) return yield* Effect.die(new Error("no such mount"))
          const path =
            request.type === "addLayer"
              ? yield* mount.addLayer(request.name, spansOf(request.spans))
              : yield* mount.addBytes(request.name, request.bytes)
          return { type: "shown", path }
        }
        case "counts": {
          const mount = mounts.get(request.mount)
          if (mount === undefined) return yield* Effect.die(new Error("no such mount"))
          return { type: "counted", ...(yield* mount.counts) }
        }
        case "close": {
          const own = scopes.get(request.of)
          if (own !== undefined) yield* Scope.close(own, Exit.void)
          return { type: "done" }
        }
      }
    })

  const answer = (id: number, request: HostRequest) =>
    Effect.gen(function* () {
      const own = yield* Scope.fork(scope)
      scopes.set(id, own)
      const done = yield* Scope.provide(perform(id, request), own).pipe(
        Effect.catch(({ mountPoint, reason, errno }) =>
          Effect.as(Scope.close(own, Exit.void), { type: "failed" as const, mountPoint, reason, errno })
        )
      )
      send({ type: "answer", id, answer: done })
    })

  const fork = Effect.runForkWith(yield* Effect.context())
  yield* Effect.callback<void>((resume) => {
    process.on("message", (message: ToHost) => {
      if (message.type === "request") fork(answer(message.id, message.request))
      else if (message.type === "end") resume(Effect.void)
      else
        Deferred.doneUnsafe(
          reads.get(message.read) ?? Deferred.makeUnsafe<SupplyAnswer>(),
          Effect.succeed(message.answer)
        )
    })
    process.on("disconnect", () => resume(Effect.void))
    send({ type: "ready" })
  })
}).pipe(Effect.scoped, Effect.provide(FuseDriverNative.layer))

await Effect.runPromise(program)
if (process.connected) process.disconnect()

/**
 * The fuse-native driver in a process of its own, so that tests may look at its mounts as at any other.
 */
import { Effect, Fiber, Layer, type Scope } from "effect"
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { FuseDriver, MountFailed } from "../../src/services/FuseDriver.ts"
import type { LayerSpans } from "../../src/services/SpanStore.ts"
import type { FromHost, HostAnswer, HostedSpans, HostRequest, SupplyAnswer, ToHost } from "./fuseHostMessages.ts"

const program = fileURLToPath(new URL("fuseHost.ts", import.meta.url))

const supply = (spans: LayerSpans, offset: number, length: number): Effect.Effect<SupplyAnswer> =>
  spans.supply(offset, length).pipe(
    Effect.map((bytes): SupplyAnswer => (bytes === undefined ? { kind: "local" } : { kind: "bytes", bytes })),
    Effect.catch(({ reason }) => Effect.succeed<SupplyAnswer>({ kind: "failed", reason }))
  )

const shown = ({ answer }: { readonly answer: HostAnswer }) => (answer.type === "shown" ? answer.path : "")

const startHost = Effect.gen(function* () {
  const pending = new Map<number, (answer: HostAnswer) => void>()
  const lent = new Map<number, LayerSpans>()
  const reads = new Map<number, Fiber.Fiber<void>>()
  const runFork = Effect.runForkWith(yield* Effect.context())
  let ids = 0

  const { child, ended } = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const child = fork(program, { serialization: "advanced", stdio: ["ignore", "inherit", "inherit", "ipc"] })
      const ended = new Promise<number | string | null>((resolve) =>
        child.on("exit", (code, signal) => resolve(code ?? signal))
      )
      await new Promise((resolve) => {
        child.once("message", resolve)
        void ended.then(resolve)
      })
      return { child, ended }
    }),
    ({ child, ended }) =>
      Effect.gen(function* () {
        if (child.connected) child.send({ type: "end" } satisfies ToHost)
        const code = yield* Effect.promise(() => ended).pipe(
          Effect.timeoutOrElse({ duration: "20 seconds", orElse: () => Effect.succeed("never") })
        )
        if (code !== 0) {
          child.kill("SIGKILL")
          return yield* Effect.die(new Error(`the process that serves mounts ended with ${code}`))
        }
      })
  )
  const send = (message: ToHost) => child.send(message)

  child.on("message", (message: FromHost) => {
    if (message.type === "answer") {
      const answered = pending.get(message.id)
      pending.delete(message.id)
      answered?.(message.answer)
    }
    if (message.type === "supply") {
      const spans = lent.get(message.spans)
      if (spans === undefined) throw new Error("spans that were not lent")
      const { read } = message
      const reading = supply(spans, message.offset, message.length).pipe(
        Effect.flatMap((answer) =>
          Effect.sync(() => void (child.connected && send({ type: "supplied", read, answer })))
        ),
        Effect.ensuring(Effect.sync(() => reads.delete(read)))
      )
      reads.set(read, runFork(reading))
    }
    if (message.type === "giveUp") {
      const reading = reads.get(message.read)
      if (reading !== undefined) runFork(Fiber.interrupt(reading))
    }
  })

  const ask = (id: number, request: HostRequest): Effect.Effect<HostAnswer, MountFailed> =>
    Effect.callback<HostAnswer>((resume) => {
      pending.set(id, (answer) => resume(Effect.succeed(answer)))
      void ended.then((code) => resume(Effect.die(new Error(`the process that serves mounts ended with ${code}`))))
      send({ type: "request", id, request })
    }).pipe(
      Effect.flatMap((answer) =>
        answer.type === "failed"
          ? new MountFailed({
              type: "fuse",
              mountPoint: answer.mountPoint,
              reason: answer.reason,
              ...(answer.errno !== undefined && { errno: answer.errno })
            })
          : Effect.succeed(answer)
      )
    )

  const hosted = (spans: LayerSpans): HostedSpans => {
    const id = ++ids
    lent.set(id, spans)
    const table = new Uint8Array(spans.table.buffer).slice()
    return { id, layer: spans.layer, path: spans.path, size: spans.size, table }
  }

  /** What the host made, until the scope ends. */
  const make = (
    request: HostRequest
  ): Effect.Effect<{ readonly id: number; readonly answer: HostAnswer }, MountFailed, Scope.Scope> =>
    Effect.suspend(() => {
      const id = ++ids
      return Effect.acquireRelease(
        Effect.map(ask(id, request), (answer) => ({ id, answer })),
        () => Effect.orDie(ask(++ids, { type: "close", of: id }))
      )
    })

  const countsOf = (mount: number) =>
    Effect.suspend(() => Effect.orDie(ask(++ids, { type: "counts", mount }))).pipe(
      Effect.map((answer) => (answer.type === "counted" ? answer : { requests: 0, waited: 0 }))
    )
  return FuseDriver.of({
    implementation: "fuse-native",
    mountTree: ({ mountPoint, source, layer, opaqueXattr }) =>
      Effect.map(
        make({
          type: "mountTree",
          mountPoint,
          source,
          opaqueXattr,
          tree: new Uint8Array(layer.tree.buffer).slice(),
          spans: hosted(layer.spans)
        }),
        ({ id }) => ({ mountPoint, counts: countsOf(id) })
      ),
    mountBlobs: ({ mountPoint, source }) =>
      Effect.map(make({ type: "mountBlobs", mountPoint, source }), ({ id }) => ({
        mountPoint,
        counts: countsOf(id),
        addLayer: (name, spans) => Effect.map(make({ type: "addLayer", mount: id, name, spans: hosted(spans) }), shown),
        addBytes: (name, bytes) => Effect.map(make({ type: "addBytes", mount: id, name, bytes }), shown)
      }))
  })
})

export const hostedFuseDriver: Layer.Layer<FuseDriver> = Layer.effect(FuseDriver, startHost)

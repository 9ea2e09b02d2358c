/**
 * A thread that applies tars, seen from the main thread. It ends with its scope.
 */
import { Effect, type Scope } from "effect"
import { Worker } from "node:worker_threads"
import type { FromUnpackWorker, ToUnpackWorker } from "./unpackWorker.ts"

export interface UnpackListener {
  readonly onMessage: (message: FromUnpackWorker) => void
  /** The thread has ended; it will not answer any more. */
  readonly onCrash: (cause: unknown) => void
}

export interface UnpackThread {
  /** Who hears of the thread: one job at a time. */
  listen(job: number, listener: UnpackListener | undefined): void
  send(message: ToUnpackWorker, transfer?: ReadonlyArray<ArrayBuffer>): void
}

const file = import.meta.url.endsWith(".ts") ? "./unpackWorker.ts" : "./unpackWorker.js"

export const startUnpackThread: Effect.Effect<UnpackThread, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => new Worker(new URL(file, import.meta.url), { name: "unpack" })),
    (worker) => Effect.promise(() => worker.terminate())
  ),
  (worker) => {
    let current: { readonly job: number; readonly listener: UnpackListener } | undefined
    let crash: { readonly cause: unknown } | undefined
    const died = (cause: unknown) => {
      crash ??= { cause }
      current?.listener.onCrash(crash.cause)
    }
    worker.on("message", (message: FromUnpackWorker) => {
      if (message.job === current?.job) current.listener.onMessage(message)
    })
    worker.on("error", died)
    worker.on("exit", (code) => died(new Error(`the unpacking thread ended with code ${code}`)))
    worker.unref()
    return {
      listen: (job, listener) => {
        current = listener && { job, listener }
        // Only a thread that works keeps the process alive.
        if (listener) worker.ref()
        else worker.unref()
        if (listener && crash) listener.onCrash(crash.cause)
      },
      send: (message, transfer = []) => worker.postMessage(message, transfer)
    }
  }
)

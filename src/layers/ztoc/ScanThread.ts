/**
 * A thread that scans layers, seen from the main thread: what it answers, and what becomes of callers when it dies.
 */
import { Effect, type Scope } from "effect"
import { Worker } from "node:worker_threads"
import { ZtocBuildCrashed } from "../../services/ZtocBuilder.ts"
import type { FromZtocWorker, ToZtocWorker } from "./ztocWorker.ts"

export interface ScanThread {
  /** Who hears of the thread: one build at a time. */
  listen(build: number, listener: ScanListener | undefined): void
  send(message: ToZtocWorker): void
}

export interface ScanListener {
  readonly onMessage: (message: FromZtocWorker) => void
  readonly onCrash: (error: ZtocBuildCrashed) => void
}

const file = import.meta.url.endsWith(".ts") ? "./ztocWorker.ts" : "./ztocWorker.js"

/**
 * What a scan leaves behind dies young: with the engine's default a thread would hold 60 MB of it before it is collected. Smaller
 * than this costs time and gains nothing.
 */
const youngGenerationMegabytes = 8

/** Starts a thread that ends with the scope. */
export const startScanThread: Effect.Effect<ScanThread, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(
      () =>
        new Worker(new URL(file, import.meta.url), {
          name: "ztoc",
          resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMegabytes }
        })
    ),
    (worker) => Effect.promise(() => worker.terminate())
  ),
  (worker) => {
    let current: { readonly build: number; readonly listener: ScanListener } | undefined
    let crash: ZtocBuildCrashed | undefined
    const died = (cause: unknown) => {
      crash ??= new ZtocBuildCrashed({ cause })
      current?.listener.onCrash(crash)
    }
    worker.on("message", (message: FromZtocWorker) => {
      if (message.build === current?.build) current.listener.onMessage(message)
    })
    worker.on("error", died)
    worker.on("exit", (code) => died(new Error(`the thread ended with code ${code}`)))
    worker.unref()
    return {
      listen: (build, listener) => {
        current = listener && { build, listener }
        // Only a thread that works keeps the process alive.
        if (listener) worker.ref()
        else worker.unref()
        if (listener && crash) listener.onCrash(crash)
      },
      send: (message) => worker.postMessage(message, [])
    }
  }
)

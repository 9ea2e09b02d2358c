/**
 * The threads that serve /dev/fuse, seen from the main thread. They live as long as the scope; when one of them dies, all stop, and
 * whoever waits for one hears of it as a defect.
 */
import { Deferred, Effect, type Scope } from "effect"
import { Worker } from "node:worker_threads"
import { closeBell, makeBell, ring } from "../native/epoll.ts"
import type { FromFuseWorker, FuseChange, FuseThreadStart, ResumedRead, ToFuseWorker } from "./fuseMessages.ts"

/** What threads say of themselves. */
export type FuseReport = Exclude<FromFuseWorker, { readonly type: "changed" }>

export interface FuseThreads {
  readonly count: number
  /** Done once every thread has done it. After a crash nothing serves any more: this dies, or is in vain for what only undoes. */
  change(change: FuseChange): Effect.Effect<void>
  resume(thread: number, read: Omit<ResumedRead, "type">): void
  /** Why a thread died; never, if none does. No thread is left by then. */
  readonly crash: Effect.Effect<unknown>
}

const file = import.meta.url.endsWith(".ts") ? "./fuseWorker.ts" : "./fuseWorker.js"

interface Thread {
  readonly worker: Worker
  readonly bell: number
  readonly stopped: Int32Array
  readonly ended: Deferred.Deferred<void>
}

const stop = ({ stopped, bell }: Thread): void => {
  Atomics.store(stopped, 0, 1)
  ring(bell)
}

/** A thread sleeps in a system call: it ends when it is rung. */
const startThread = (index: number): Effect.Effect<Thread, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const bell = makeBell()
      const stopped = new Int32Array(new SharedArrayBuffer(4))
      const start: FuseThreadStart = { index, bell, stopped }
      const worker = new Worker(new URL(file, import.meta.url), { name: "fuse", workerData: start })
      const thread: Thread = { worker, bell, stopped, ended: Deferred.makeUnsafe() }
      worker.on("exit", () => Deferred.doneUnsafe(thread.ended, Effect.void))
      return thread
    }),
    (thread) =>
      Effect.gen(function* () {
        stop(thread)
        yield* Deferred.await(thread.ended)
        closeBell(thread.bell)
      })
  )

const post = ({ worker, bell }: Thread, message: ToFuseWorker): void => {
  worker.postMessage(message, [])
  ring(bell)
}

/** A process that exits waits for its threads, so they have to be rung then too. */
const stopOnExit = (threads: ReadonlyArray<Thread>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const onExit = threads.forEach.bind(threads, stop)
      process.on("exit", onExit)
      return onExit
    }),
    (onExit) => Effect.sync(() => process.off("exit", onExit))
  )

export const startFuseThreads = Effect.fnUntraced(function* (
  count: number,
  listen: (thread: number, report: FuseReport) => void
): Effect.fn.Return<FuseThreads, never, Scope.Scope> {
  const threads = yield* Effect.forEach(Array.from({ length: count }).keys(), startThread)
  yield* stopOnExit(threads)
  const asked = new Map<number, Asked>()
  const crash = Deferred.makeUnsafe<unknown>()
  let end: { readonly cause: unknown } | undefined
  let asks = 0

  const finish = (cause: unknown) => {
    end = { cause }
    for (const { change, done } of asked.values()) Deferred.doneUnsafe(done, inVain(change, cause))
  }
  const died = (cause: unknown) => {
    if (end !== undefined) return
    finish(cause)
    threads.forEach(stop)
    const allEnded = Effect.forEach(threads, ({ ended }) => Deferred.await(ended), { discard: true })
    Deferred.doneUnsafe(crash, Effect.as(allEnded, cause))
  }
  const confirmed = (number: number) => {
    const waiting = asked.get(number)
    if (waiting !== undefined && --waiting.waitsFor === 0) Deferred.doneUnsafe(waiting.done, Effect.void)
  }
  const ask = (change: FuseChange) => {
    const number = ++asks
    const done = Deferred.makeUnsafe<void>()
    asked.set(number, { change, done, waitsFor: count })
    for (const thread of threads) post(thread, { type: "change", ask: number, change })
    return Effect.ensuring(
      Deferred.await(done),
      Effect.sync(() => asked.delete(number))
    )
  }

  yield* Effect.addFinalizer(() => Effect.sync(() => finish(new Error("the FUSE driver has ended"))))
  for (const [index, { worker }] of threads.entries()) {
    worker.on("message", (message: FromFuseWorker) =>
      message.type === "changed" ? confirmed(message.ask) : listen(index, message)
    )
    worker.on("error", died)
    worker.on("exit", (code) => died(new Error(`a thread that serves FUSE ended with code ${code}`)))
  }
  return {
    count,
    crash: Deferred.await(crash),
    change: (change) => Effect.suspend(() => (end === undefined ? ask(change) : inVain(change, end.cause))),
    resume: (thread, read) => {
      const to = threads[thread]
      if (to !== undefined && end === undefined) post(to, { type: "resume", ...read })
    }
  }
})

interface Asked {
  readonly change: FuseChange
  readonly done: Deferred.Deferred<void>
  waitsFor: number
}

/** Where no thread is left, what was to be undone is undone. */
const inVain = (change: FuseChange, cause: unknown): Effect.Effect<void> =>
  change.type === "leave" || change.type === "removeFile" ? Effect.void : Effect.die(cause)

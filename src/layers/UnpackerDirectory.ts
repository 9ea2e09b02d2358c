/**
 * Unpacks tars into directories, each in a thread of its own that does nothing but system calls. The stream is handed over in buffers
 * that go back and forth, so that a slow disk stops the source and a tar of any size needs the same little memory.
 */
import { Deferred, Effect, Layer, Pool, Queue, type Scope, Stream } from "effect"
import { availableParallelism } from "node:os"
import { Unpacker, UnpackFailed } from "../services/Unpacker.ts"
import type { ByteString } from "../services/Ztoc.ts"
import { startUnpackThread, type UnpackThread } from "./unpack/UnpackThread.ts"
import type { FromUnpackWorker, UnpackProblem } from "./unpack/unpackWorker.ts"

type Options = Parameters<Unpacker["Service"]["unpack"]>[1]
type Unpacked = Extract<FromUnpackWorker, { readonly type: "unpacked" }>

/** Bytes handed over at once, and how many such buffers one unpack owns. */
const chunkSize = 256 * 1024
const chunksInFlight = 8

/** Threads wait for disks and networks more than for a core. */
const maxThreads = 2 * availableParallelism()

/** Tar text in an error message: most of it is UTF-8. */
const readable = (text: ByteString) => Buffer.from(text, "latin1").toString()

const unpackFailed = (directory: string, { entry, operation, reason, errno }: UnpackProblem) =>
  new UnpackFailed({
    directory,
    entry: readable(entry),
    operation: readable(operation),
    reason,
    ...(errno === undefined ? {} : { errno })
  })

let jobs = 0

/** One unpack in a thread. */
interface Job {
  /** An empty buffer, once there is one. */
  readonly buffer: Effect.Effect<Uint8Array<ArrayBuffer>>
  readonly send: (buffer: Uint8Array<ArrayBuffer>, length: number) => Effect.Effect<void>
  readonly end: Effect.Effect<void>
  readonly outcome: Effect.Effect<Unpacked, UnpackFailed>
}

/** Starts an unpack. When the scope closes, nothing of it is open or goes on. */
const startJob = Effect.fnUntraced(function* (
  thread: UnpackThread,
  options: Options
): Effect.fn.Return<Job, never, Scope.Scope> {
  const job = ++jobs
  const outcome = Deferred.makeUnsafe<Unpacked, UnpackFailed>()
  const stopped = Deferred.makeUnsafe<void>()
  const buffers = yield* Queue.bounded<Uint8Array<ArrayBuffer>>(chunksInFlight)
  for (let i = 0; i < chunksInFlight; i++) yield* Queue.offer(buffers, new Uint8Array(chunkSize))

  const onMessage = (message: FromUnpackWorker) => {
    switch (message.type) {
      case "consumed":
        return Queue.offerUnsafe(buffers, new Uint8Array(message.buffer))
      case "failed":
        return Deferred.doneUnsafe(outcome, Effect.fail(unpackFailed(options.directory, message.problem)))
      case "unpacked":
        return Deferred.doneUnsafe(outcome, Effect.succeed(message))
      case "stopped":
        return Deferred.doneUnsafe(stopped, Effect.void)
    }
  }
  const onCrash = (cause: unknown) => {
    Deferred.doneUnsafe(stopped, Effect.void)
    Deferred.doneUnsafe(outcome, Effect.die(cause))
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      thread.listen(job, { onMessage, onCrash })
      thread.send({ type: "start", job, directory: options.directory, form: options.whiteouts })
    }),
    () =>
      Effect.sync(() => thread.send({ type: "stop", job })).pipe(
        Effect.andThen(Deferred.await(stopped)),
        Effect.ensuring(Effect.sync(() => thread.listen(job, undefined)))
      )
  )
  return {
    buffer: Queue.take(buffers),
    send: ({ buffer }, length) => Effect.sync(() => thread.send({ type: "chunk", job, buffer, length }, [buffer])),
    end: Effect.sync(() => thread.send({ type: "end", job })),
    outcome: Deferred.await(outcome)
  }
})

/** Copies a stream into buffers and sends them full, whatever the size of its chunks. */
const feed = <E, R>(tar: Stream.Stream<Uint8Array, E, R>, job: Job): Effect.Effect<void, E, R> => {
  let buffer: Uint8Array<ArrayBuffer> | undefined
  let filled = 0
  const flush = Effect.suspend(() => {
    if (buffer === undefined) return Effect.void
    const send = job.send(buffer, filled)
    buffer = undefined
    filled = 0
    return send
  })
  const add = Effect.fnUntraced(function* (chunk: Uint8Array) {
    for (let at = 0; at < chunk.length;) {
      buffer ??= yield* job.buffer
      const part = chunk.subarray(at, at + chunkSize - filled)
      buffer.set(part, filled)
      filled += part.length
      at += part.length
      if (filled === chunkSize) yield* flush
    }
  })
  return tar.pipe(Stream.runForEach(add), Effect.andThen(flush), Effect.andThen(job.end))
}

export const layer = Layer.effect(
  Unpacker,
  Effect.gen(function* () {
    const threads = yield* Pool.makeWithTTL({
      acquire: startUnpackThread,
      min: 0,
      max: maxThreads,
      timeToLive: "10 seconds"
    })

    const unpack: Unpacker["Service"]["unpack"] = Effect.fn("Unpacker.unpack")(function* (tar, options) {
      yield* Effect.annotateCurrentSpan({ directory: options.directory })
      const thread = yield* Pool.get(threads)
      const job = yield* startJob(thread, options)
      const outcome = job.outcome.pipe(Effect.tapDefect(() => Pool.invalidate(threads, thread)))
      yield* Effect.raceFirst(feed(tar, job), Effect.andThen(outcome, Effect.never))
      const { entries, impliedDirectories } = yield* outcome
      return { entries, impliedDirectories }
    }, Effect.scoped)

    return Unpacker.of({ unpack })
  })
)

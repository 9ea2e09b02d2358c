/**
 * Builds ztocs in worker threads, one build in each. The layer's bytes are handed over chunk by chunk, only as fast as the thread takes
 * them; meanwhile the main thread fetches and hashes the next ones.
 */
import { Deferred, Effect, Layer, Pool, Queue, Stream } from "effect"
import { createHash } from "node:crypto"
import { availableParallelism } from "node:os"
import { Digest } from "../services/Descriptor.ts"
import {
  type BuiltZtoc,
  InvalidLayer,
  UnsupportedCompression,
  ZtocBuilder,
  type ZtocBuildError,
  type ZtocBuildEvent,
  type ZtocBuildOptions
} from "../services/ZtocBuilder.ts"
import { digestOf } from "../streams/verify.ts"
import type { ScanOptions } from "./ztoc/layerScan.ts"
import { type ScanThread, startScanThread } from "./ztoc/ScanThread.ts"
import type { FromZtocWorker } from "./ztoc/ztocWorker.ts"

/** Bytes handed to a thread at once, and how many of them may wait there. */
const chunkSize = 256 * 1024
const chunksInFlight = 8

type ScanAnswer = Extract<FromZtocWorker, { readonly type: "built" }>

/** A build in a thread: what it still takes, and what becomes of it. */
interface Build {
  readonly send: (chunk: Uint8Array) => Effect.Effect<void>
  readonly outcome: Deferred.Deferred<ScanAnswer, ZtocBuildError>
  readonly end: Effect.Effect<void>
  uncompressedSize: number
}

const scanOptions = Effect.fnUntraced(function* ({ compression, spanSize, buildToolIdentifier }: ZtocBuildOptions) {
  if (compression !== "gzip" && compression !== "uncompressed" && compression !== "unknown") {
    return yield* new UnsupportedCompression({ compression })
  }
  if (!Number.isSafeInteger(spanSize) || spanSize < 0) {
    return yield* new InvalidLayer({ stage: "options", reason: "span size must be >= 0", offset: 0 })
  }
  if (compression !== "gzip" && spanSize === 0) {
    const reason = "span size must be > 0 for a layer that is not compressed"
    return yield* new InvalidLayer({ stage: "options", reason, offset: 0 })
  }
  const options: ScanOptions = {
    compression: compression === "gzip" ? "gzip" : "uncompressed",
    spanSize,
    buildToolIdentifier
  }
  return options
})

let builds = 0

/** Starts a build; the end of the scope cancels what is not done. */
const startBuild = Effect.fnUntraced(function* (thread: ScanThread, options: ScanOptions) {
  const build = ++builds
  const outcome = Deferred.makeUnsafe<ScanAnswer, ZtocBuildError>()
  const credits = yield* Queue.bounded<void>(chunksInFlight)
  yield* Queue.offerAll(
    credits,
    Array.from({ length: chunksInFlight }, () => undefined)
  )
  const self: Build = {
    outcome,
    uncompressedSize: 0,
    send: (chunk) =>
      Effect.map(Queue.take(credits), () => {
        // The chunk may be a view of a pool: only a copy can be given away.
        const bytes = new Uint8Array(chunk)
        thread.send({ type: "chunk", build, bytes }, [bytes.buffer])
      }),
    end: Effect.sync(() => thread.send({ type: "end", build }))
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      thread.listen(build, {
        onMessage: (message) => {
          if (message.type === "built") return Deferred.doneUnsafe(outcome, Effect.succeed(message))
          if (message.type === "failed") {
            return Deferred.doneUnsafe(outcome, Effect.fail(new InvalidLayer(message.failure)))
          }
          self.uncompressedSize = message.uncompressedSize
          return Queue.offerUnsafe(credits, undefined)
        },
        onCrash: (error) => Deferred.doneUnsafe(outcome, Effect.fail(error))
      })
      thread.send({ type: "start", build, options })
    }),
    () =>
      Effect.sync(() => {
        thread.listen(build, undefined)
        thread.send({ type: "cancel", build })
      })
  )
  return self
})

const pieces = function* (chunk: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < chunk.length; at += chunkSize) yield chunk.subarray(at, at + chunkSize)
}

export const layer = Layer.effect(
  ZtocBuilder,
  Effect.gen(function* () {
    const threads = yield* Pool.makeWithTTL({
      acquire: startScanThread,
      min: 0,
      max: availableParallelism(),
      timeToLive: "10 seconds"
    })

    const events = <E, R>(
      source: Stream.Stream<Uint8Array, E, R>,
      options: ZtocBuildOptions
    ): Stream.Stream<ZtocBuildEvent, ZtocBuildError | E, R> =>
      Stream.unwrap(
        Effect.gen(function* () {
          const scan = yield* scanOptions(options)
          const thread = yield* Pool.get(threads)
          const build = yield* startBuild(thread, scan)
          const hash = createHash("sha256")
          let compressedBytes = 0
          const outcome = Deferred.await(build.outcome).pipe(
            Effect.tapError((error) =>
              error._tag === "ZtocBuildCrashed" ? Pool.invalidate(threads, thread) : Effect.void
            )
          )
          const failed = Effect.andThen(outcome, Effect.never)
          const progress = source.pipe(
            Stream.flatMap((chunk) => Stream.fromIterable(pieces(chunk)).pipe(Stream.rechunk(1))),
            Stream.mapEffect((piece) => {
              hash.update(piece)
              compressedBytes += piece.length
              return Effect.as(Effect.raceFirst(build.send(piece), failed), {
                _tag: "Progress" as const,
                compressedBytes,
                uncompressedBytes: build.uncompressedSize
              })
            })
          )
          const built = Effect.gen(function* () {
            yield* build.end
            const answer = yield* outcome
            const ztoc: BuiltZtoc = {
              bytes: answer.ztoc,
              digest: digestOf(answer.ztoc),
              spans: answer.spans,
              entries: answer.entries,
              layerDigest: Digest.make(`sha256:${hash.digest("hex")}`),
              layerSize: compressedBytes,
              uncompressedSize: answer.uncompressedSize,
              withoutXattrs: answer.withoutXattrs
            }
            return { _tag: "Built" as const, ztoc }
          })
          return Stream.concat(progress, Stream.fromEffect(built))
        })
      )

    const build: ZtocBuilder["Service"]["build"] = (source, options) =>
      events(source, options).pipe(
        Stream.runFold(
          (): BuiltZtoc | undefined => undefined,
          (latest, event) => (event._tag === "Built" ? event.ztoc : latest)
        ),
        Effect.flatMap((ztoc) =>
          ztoc ? Effect.succeed(ztoc) : Effect.die(new Error("the build ended without a ztoc"))
        ),
        Effect.withSpan("ZtocBuilder.build", {
          attributes: { compression: options.compression, spanSize: options.spanSize }
        })
      )

    return ZtocBuilder.of({ build, events })
  })
)

/**
 * Builds ztocs in worker threads, one build in each. The layer's bytes are handed over in memory that both share, only as fast as the
 * thread takes them; meanwhile the main thread fetches and hashes the next ones.
 */
import { Cause, Deferred, Effect, Layer, Pool, Queue, Stream } from "effect"
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
import type { BlockInflaterName } from "./inflate/BlockInflater.ts"
import type { ScanOptions } from "./ztoc/layerScan.ts"
import { type ScanThread, startScanThread } from "./ztoc/ScanThread.ts"
import type { FromZtocWorker } from "./ztoc/ztocWorker.ts"

/**
 * Bytes handed to a thread at once, and how many such buffers one build owns. The buffers are shared: each one that is transferred
 * counts as new memory to the collector, which then runs every 30 MB of a layer.
 */
const chunkSize = 256 * 1024
const chunksInFlight = 16

type ScanAnswer = Extract<FromZtocWorker, { readonly type: "built" }>

interface SharedBuffer {
  readonly index: number
  readonly bytes: Uint8Array
}

/** A build in a thread: what it still takes, and what becomes of it. */
interface Build {
  /** An empty buffer, once there is one. */
  readonly buffer: Effect.Effect<SharedBuffer, ZtocBuildError>
  readonly send: (buffer: SharedBuffer, length: number) => void
  readonly outcome: Deferred.Deferred<ScanAnswer, ZtocBuildError>
  readonly end: () => void
  uncompressedSize: number
}

const scanOptions = Effect.fnUntraced(function* (
  { compression, mediaType, spanSize, buildToolIdentifier }: ZtocBuildOptions,
  inflater: BlockInflaterName | undefined
) {
  if (compression !== "gzip" && compression !== "uncompressed" && compression !== "unknown") {
    return yield* new UnsupportedCompression({ compression, ...(mediaType === undefined ? {} : { mediaType }) })
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
    buildToolIdentifier,
    inflater
  }
  return options
})

let builds = 0

/** Starts a build; the end of the scope cancels what is not done. */
const startBuild = Effect.fnUntraced(function* (thread: ScanThread, options: ScanOptions) {
  const build = ++builds
  const outcome = Deferred.makeUnsafe<ScanAnswer, ZtocBuildError>()
  const buffers = Array.from({ length: chunksInFlight }, () => new SharedArrayBuffer(chunkSize))
  const shared = buffers.map((buffer, index): SharedBuffer => ({ index, bytes: new Uint8Array(buffer) }))
  const empty = yield* Queue.bounded<SharedBuffer, ZtocBuildError>(chunksInFlight)
  yield* Queue.offerAll(empty, shared)
  const fail = (error: ZtocBuildError) => {
    Deferred.doneUnsafe(outcome, Effect.fail(error))
    Queue.failCauseUnsafe(empty, Cause.fail(error))
  }
  const self: Build = {
    outcome,
    uncompressedSize: 0,
    buffer: Effect.suspend(() =>
      Deferred.isDoneUnsafe(outcome) ? Effect.andThen(Deferred.await(outcome), Effect.never) : Queue.take(empty)
    ),
    send: ({ index }, length) => thread.send({ type: "chunk", build, buffer: index, length }),
    end: () => thread.send({ type: "end", build })
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      thread.listen(build, {
        onMessage: (message) => {
          if (message.type === "built") return Deferred.doneUnsafe(outcome, Effect.succeed(message))
          if (message.type === "failed") return fail(new InvalidLayer(message.failure))
          self.uncompressedSize = message.uncompressedSize
          const consumed = message.buffer === undefined ? undefined : shared[message.buffer]
          return consumed && Queue.offerUnsafe(empty, consumed)
        },
        onCrash: fail
      })
      thread.send({ type: "start", build, options, buffers })
    }),
    () =>
      Effect.sync(() => {
        thread.listen(build, undefined)
        thread.send({ type: "cancel", build })
      })
  )
  return self
})

/** Puts chunks of any size into the buffers of a build and sends them full. */
const feeder = (build: Build) => {
  let buffer: SharedBuffer | undefined
  let filled = 0
  const flush = () => {
    if (buffer === undefined) return
    build.send(buffer, filled)
    buffer = undefined
    filled = 0
  }
  const fill = (into: SharedBuffer, piece: Uint8Array) => {
    buffer = into
    into.bytes.set(piece, filled)
    filled += piece.length
    if (filled === chunkSize) flush()
  }
  const add = (piece: Uint8Array): Effect.Effect<void, ZtocBuildError> => {
    const part = piece.subarray(0, chunkSize - filled)
    const filling = Effect.map(buffer ? Effect.succeed(buffer) : build.buffer, (into) => fill(into, part))
    return part.length === piece.length ? filling : Effect.flatMap(filling, () => add(piece.subarray(part.length)))
  }
  const end = () => {
    flush()
    build.end()
  }
  return { add, end }
}

const make = (inflater: BlockInflaterName | undefined) =>
  Effect.gen(function* () {
    const threads = yield* Pool.makeWithTTL({
      acquire: startScanThread,
      min: 0,
      max: availableParallelism(),
      timeToLive: "1 minute"
    })

    const events = <E, R>(
      source: Stream.Stream<Uint8Array, E, R>,
      options: ZtocBuildOptions
    ): Stream.Stream<ZtocBuildEvent, ZtocBuildError | E, R> =>
      Stream.unwrap(
        Effect.gen(function* () {
          const scan = yield* scanOptions(options, inflater)
          const thread = yield* Pool.get(threads)
          const build = yield* startBuild(thread, scan)
          const feed = feeder(build)
          const hash = options.layerDigest === undefined ? createHash("sha256") : undefined
          let compressedBytes = 0
          const outcome = Deferred.await(build.outcome).pipe(
            Effect.tapError((error) =>
              error._tag === "ZtocBuildCrashed" ? Pool.invalidate(threads, thread) : Effect.void
            )
          )
          const progress = Stream.mapEffect(source, (chunk) => {
            hash?.update(chunk)
            compressedBytes += chunk.length
            return Effect.map(feed.add(chunk), () => ({
              _tag: "Progress" as const,
              compressedBytes,
              uncompressedBytes: build.uncompressedSize
            }))
          })
          const built = Effect.gen(function* () {
            feed.end()
            const answer = yield* outcome
            yield* Effect.logDebug("layer scanned").pipe(
              Effect.annotateLogs({ inflater: answer.inflater ?? "none", spans: answer.spans })
            )
            const ztoc: BuiltZtoc = {
              bytes: answer.ztoc,
              digest: digestOf(answer.ztoc),
              spans: answer.spans,
              entries: answer.entries,
              layerDigest: options.layerDigest ?? Digest.make(`sha256:${hash?.digest("hex")}`),
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

/** Builds with one inflater, for all that it may be slower: a build fails where it cannot be used. */
export const layerWith = (inflater: BlockInflaterName | undefined): Layer.Layer<ZtocBuilder> =>
  Layer.effect(ZtocBuilder, make(inflater))

/** Builds with the zlib of the Node binary; with pako where that cannot be called. */
export const layer: Layer.Layer<ZtocBuilder> = layerWith(undefined)

/**
 * Fills layers in turn: each has a fiber in the scope it was added with, and few of them fetch at the same time.
 */
import { Clock, Duration, Effect, Fiber, Layer, Metric, Schedule, Semaphore } from "effect"
import { BackgroundFetcher } from "../services/BackgroundFetcher.ts"
import { type LayerSpans, SpanStore, type SpanUnavailable } from "../services/SpanStore.ts"

/** The `[background_fetch]` table of the daemon's configuration, and what it does not name. */
export interface BackgroundFetchOptions {
  readonly disable?: boolean
  /** Between the beginnings of two fetches of one layer at least; 500 ms. */
  readonly fetchPeriod?: Duration.Input
  /** How long nothing is fetched after a pause; 30 seconds. */
  readonly silencePeriod?: Duration.Input
  /** Layers that may wait to be filled; 300, all of them if negative. */
  readonly maxQueueSize?: number
  /** Which layer is dropped where one too many waits: the one that was added, or the one that waits longest. */
  readonly dropPolicy?: "newest" | "oldest"
  /** Compressed bytes of one fetch, unless a span is larger; 8 MiB: what a read may have to share the link with. */
  readonly fetchBytes?: number
  /** Layers that fetch at the same time; 2. */
  readonly concurrency?: number
  /** After a failure, doubled with each one that follows, up to 5 minutes; 1 second. */
  readonly retryDelay?: Duration.Input
}

const eightMiB = 8 * 1024 * 1024
const longestRetryDelay = Duration.minutes(5)

const fetches = Metric.counter("background_span_fetch_count", {
  description: "Fetches of spans that nobody waited for",
  incremental: true
})
const failures = Metric.counter("background_span_fetch_failure_count", {
  description: "Fetches of spans that nobody waited for, which failed",
  incremental: true
})
const dropped = Metric.counter("background_fetch_work_queue_evicted", {
  description: "Layers that are not filled because too many waited",
  incremental: true
})
const waitingLayers = Metric.gauge("background_fetch_work_queue_size", {
  description: "Layers that are being filled"
})

type Filling = Fiber.Fiber<void>

export const layer = (options: BackgroundFetchOptions = {}): Layer.Layer<BackgroundFetcher, never, SpanStore> =>
  Layer.effect(
    BackgroundFetcher,
    Effect.gen(function* () {
      const store = yield* SpanStore
      const running = yield* Semaphore.make(options.concurrency ?? 2)
      const silence = Duration.toMillis(options.silencePeriod ?? "30 seconds")
      const period = Duration.toMillis(options.fetchPeriod ?? "500 millis")
      const filling = new Set<Filling>()
      let silentUntil = 0

      const untilSilenceEnds: Effect.Effect<void> = Effect.gen(function* () {
        for (;;) {
          const left = silentUntil - (yield* Clock.currentTimeMillis)
          if (left <= 0) return
          yield* Effect.sleep(left)
        }
      })

      /** One fetch, given up as soon as anybody waits; true while there is more to fetch. */
      const fetchOnce = (spans: LayerSpans): Effect.Effect<boolean, SpanUnavailable> =>
        Effect.andThen(
          Effect.andThen(untilSilenceEnds, store.whenQuiet),
          Effect.andThen(
            Metric.update(fetches, 1),
            Effect.raceFirst(spans.fill(options.fetchBytes ?? eightMiB), Effect.as(store.whenWanted, true))
          )
        ).pipe(running.withPermit)

      const retrying = Schedule.min([
        Schedule.exponential(options.retryDelay ?? "1 second"),
        Schedule.spaced(longestRetryDelay)
      ]).pipe(Schedule.jittered)
      const fetchAtLast = (spans: LayerSpans): Effect.Effect<boolean> =>
        fetchOnce(spans).pipe(
          Effect.tapError((error) =>
            Effect.andThen(
              Metric.update(failures, 1),
              Effect.logDebug(`filling a layer is tried again later: ${error.message}`)
            )
          ),
          Effect.retry(retrying),
          Effect.orDie
        )

      const fillLayer = Effect.fn("BackgroundFetcher.fill")(function* (spans: LayerSpans) {
        for (;;) {
          const begun = yield* Clock.currentTimeMillis
          if (!(yield* fetchAtLast(spans))) break
          yield* Effect.sleep(Math.max(0, begun + period - (yield* Clock.currentTimeMillis)))
        }
        yield* Effect.logDebug("layer is complete").pipe(Effect.annotateLogs({ layer: spans.layer }))
      })

      /** Makes room for one more; false where there is none. */
      const admit = Effect.gen(function* () {
        const limit = options.maxQueueSize ?? 300
        if (limit < 0 || filling.size < limit) return true
        yield* Metric.update(dropped, 1)
        const [oldest] = filling
        if (options.dropPolicy !== "oldest" || oldest === undefined) return false
        filling.delete(oldest)
        yield* Fiber.interrupt(oldest)
        return true
      })

      const add = Effect.fnUntraced(function* (spans: LayerSpans) {
        if (options.disable === true || !(yield* admit)) return
        const fiber = yield* Effect.forkScoped(fillLayer(spans))
        filling.add(fiber)
        yield* Metric.update(waitingLayers, filling.size)
        fiber.addObserver(() => filling.delete(fiber))
      })

      return BackgroundFetcher.of({
        add,
        pause: Effect.map(Clock.currentTimeMillis, (now) => {
          silentUntil = now + silence
        })
      })
    })
  )

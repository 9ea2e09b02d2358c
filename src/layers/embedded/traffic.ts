/**
 * Counts what the embedded registry serves.
 */
import { Effect, Stream } from "effect"
import type { RegistryTraffic } from "../../services/EmbeddedRegistry.ts"

type Counter = keyof RegistryTraffic

export interface Traffic {
  readonly count: (counter: Counter, by?: number) => Effect.Effect<void>
  /** As `count`, for callbacks of the server. */
  readonly countNow: (counter: Counter, by?: number) => void
  /** Counts the bytes of a stream as they pass. */
  readonly counting: (
    counter: Counter
  ) => <E, R>(stream: Stream.Stream<Uint8Array, E, R>) => Stream.Stream<Uint8Array, E, R>
  readonly current: Effect.Effect<RegistryTraffic>
}

export const makeTraffic = (): Traffic => {
  const counts: Record<Counter, number> = {
    connections: 0,
    requests: 0,
    rangeRequests: 0,
    blobBytesServed: 0,
    documentBytesServed: 0,
    bytesReceived: 0
  }
  const countNow: Traffic["countNow"] = (counter, by = 1) => void (counts[counter] += by)
  const count: Traffic["count"] = (counter, by) => Effect.sync(() => countNow(counter, by))
  return {
    countNow,
    count,
    counting: (counter) => (stream) => Stream.tap(stream, (chunk) => count(counter, chunk.length)),
    current: Effect.sync(() => ({ ...counts }))
  }
}

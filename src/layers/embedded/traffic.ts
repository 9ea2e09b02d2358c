/**
 * Counts what the embedded registry serves.
 */
import { Effect, Stream } from "effect"
import type { RegistryTraffic } from "../../services/EmbeddedRegistry.ts"

type Counter = keyof RegistryTraffic

export interface Traffic {
  readonly count: (counter: Counter, by?: number) => Effect.Effect<void>
  /** Counts the bytes of a stream as they pass. */
  readonly counting: (
    counter: Counter
  ) => <E, R>(stream: Stream.Stream<Uint8Array, E, R>) => Stream.Stream<Uint8Array, E, R>
  readonly current: Effect.Effect<RegistryTraffic>
}

export const makeTraffic = (): Traffic => {
  const counts: Record<Counter, number> = {
    requests: 0,
    rangeRequests: 0,
    blobBytesServed: 0,
    documentBytesServed: 0,
    bytesReceived: 0
  }
  const count: Traffic["count"] = (counter, by = 1) => Effect.sync(() => void (counts[counter] += by))
  return {
    count,
    counting: (counter) => (stream) => Stream.tap(stream, (chunk) => count(counter, chunk.length)),
    current: Effect.sync(() => ({ ...counts }))
  }
}

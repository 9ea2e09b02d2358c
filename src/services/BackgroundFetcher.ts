/**
 * Fills the layers of mounted images while nobody waits for them (lazy-filesystem spec, section 8).
 *
 * It yields to reads, slows down instead of giving up, and stops when a layer is complete. A layer leaves with its scope.
 */
import { Context, type Effect, type Scope } from "effect"
import type { LayerSpans } from "./SpanStore.ts"

export class BackgroundFetcher extends Context.Service<
  BackgroundFetcher,
  {
    /** Fills the layer as long as the scope is open. */
    add(layer: LayerSpans): Effect.Effect<void, never, Scope.Scope>
    /** Steps back for the silence period: an image is being mounted. */
    readonly pause: Effect.Effect<void>
  }
>()("effect-soci/services/BackgroundFetcher") {}

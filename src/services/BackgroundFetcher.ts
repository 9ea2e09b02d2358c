/**
 * Fills the layers of mounted images while nobody waits for them (lazy-filesystem spec, section 8).
 *
 * It gives way to reads at once, of whatever layer; what had arrived by then stays. A layer whose spans cannot be had is tried again, each time
 * later, and is never given up. A layer leaves with its scope, or when it is complete.
 */
import { Context, type Effect, type Scope } from "effect"
import type { LayerSpans } from "./SpanStore.ts"

export class BackgroundFetcher extends Context.Service<
  BackgroundFetcher,
  {
    /** Fills the layer as long as the scope is open. It may be dropped where more layers wait than may. */
    add(layer: LayerSpans): Effect.Effect<void, never, Scope.Scope>
    /** Steps back for the silence period: an image is being mounted. Several of them at once are one. */
    readonly pause: Effect.Effect<void>
  }
>()("effect-soci/services/BackgroundFetcher") {}

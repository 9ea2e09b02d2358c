/**
 * The fastest inflater that works on this machine, found by inflating a known sample; `prefer` names one that must be taken.
 */
import { Effect, Layer } from "effect"
import type { Inflate } from "../services/Inflate.ts"
import type { InflateUnavailable } from "./inflate/selfTest.ts"
import * as InflatePako from "./InflatePako.ts"
import * as InflateZlib from "./InflateZlib.ts"

type Implementation = Inflate["Service"]["implementation"]

const implementations: ReadonlyMap<Implementation, Layer.Layer<Inflate, InflateUnavailable>> = new Map([
  ["zlib", InflateZlib.layer],
  ["pako", InflatePako.layer]
])

const announced = (layer: Layer.Layer<Inflate, InflateUnavailable>, implementation: Implementation) =>
  Layer.tap(layer, () => Effect.logDebug("inflater chosen").pipe(Effect.annotateLogs({ implementation })))

const firstThatWorks = Array.from(implementations)
  .map(([implementation, layer]) => announced(layer, implementation))
  .reduce((chosen, next) =>
    Layer.catch(chosen, (error) =>
      Layer.unwrap(Effect.as(Effect.logWarning(`${error.message}; a slower one is taken`), next))
    )
  )

export const layer = (prefer?: Implementation): Layer.Layer<Inflate, InflateUnavailable> =>
  (prefer && implementations.get(prefer)) ?? firstThatWorks

/**
 * Which inflater reads spans, and which builds ztocs.
 */
import { Config, Effect, Layer, Option, Schema } from "effect"
import * as InflateLive from "../layers/InflateLive.ts"
import * as ZtocBuilderWorkers from "../layers/ZtocBuilderWorkers.ts"

/** `SOCI_INFLATE` names the inflater that must be taken; else the fastest one here is. */
const preferred = Effect.map(
  Config.option(Config.schema(Schema.Literals(["isal", "zlib", "pako"]), "SOCI_INFLATE")),
  Option.getOrUndefined
)

/** Inflates spans. */
export const inflater = Layer.unwrap(Effect.map(preferred, InflateLive.layer))

/** ISA-L cannot stop at block boundaries, so it builds no ztocs. */
export const ztocBuilder = Layer.unwrap(
  Effect.map(preferred, (name) => ZtocBuilderWorkers.layerWith(name === "isal" ? undefined : name))
)

/**
 * The fastest inflater that works on this machine: ISA-L where it is installed, else the zlib of the Node binary, else pako. Each has to
 * inflate a known sample before it is taken. `prefer` names one that must be taken.
 */
import { Effect, Layer } from "effect"
import type { Inflate } from "../services/Inflate.ts"
import type { InflateUnavailable } from "./inflate/selfTest.ts"
import * as InflateIsal from "./InflateIsal.ts"
import * as InflatePako from "./InflatePako.ts"
import * as InflateZlib from "./InflateZlib.ts"

export type Implementation = Inflate["Service"]["implementation"]

const announce = (implementation: Implementation) =>
  Effect.logDebug("inflater chosen").pipe(Effect.annotateLogs({ implementation }))

const implementations: Readonly<Record<Implementation, Layer.Layer<Inflate, InflateUnavailable>>> = {
  isal: Layer.tap(InflateIsal.layer, () => announce("isal")),
  zlib: Layer.tap(InflateZlib.layer, () => announce("zlib")),
  pako: Layer.tap(InflatePako.layer, () => announce("pako"))
}

/** ISA-L is a gift where it is there; a machine without zlib's symbols is worth a warning. */
const withoutIsal = Layer.catch(implementations.zlib, (error) =>
  Layer.unwrap(Effect.as(Effect.logWarning(`${error.message}; pako is taken, which is slower`), implementations.pako))
)

const fastest = Layer.catch(implementations.isal, (error) =>
  Layer.unwrap(Effect.as(Effect.logDebug(error.message), withoutIsal))
)

export const layer = (prefer?: Implementation): Layer.Layer<Inflate, InflateUnavailable> =>
  prefer === undefined ? fastest : implementations[prefer]

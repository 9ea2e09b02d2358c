/**
 * What the flags of `soci mount` and `soci run` say about the services they need.
 */
import { Console, Effect, Option } from "effect"
import { registryOptionsFromFlags } from "../../layers/registry/registryFlags.ts"
import { Debug, Root } from "../cli/globalFlags.ts"
import type { MountServicesOptions } from "../mountServices.ts"
import type { MountingOptions } from "./imageFlags.ts"

const gibibyte = 2 ** 30

/** The disk is the machine's, not ours. */
const freeShare = 0.05

export const mountServicesOptions = Effect.fnUntraced(function* (options: MountingOptions) {
  const httpTrace = options.httpTrace || (yield* Debug)
  const flags = { ...options, httpTrace, user: Option.getOrUndefined(options.user) }
  const registry = yield* Effect.fromResult(registryOptionsFromFlags(flags, Console.error))
  const services: MountServicesOptions = {
    root: yield* Root,
    registry,
    ...(options.spanCache > 0 ? { keep: { bytes: options.spanCache * gibibyte, freeShare } } : {})
  }
  return services
})

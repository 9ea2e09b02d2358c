/**
 * The servers to ask for a host at this moment: as configured, looked up again from time to time, without mirrors that
 * failed just now.
 */
import { Clock, Effect } from "effect"
import { ExchangeFailed } from "./exchangeFailed.ts"
import type { Capability, RegistryEndpoint } from "./registryEndpoint.ts"
import type { RegistrySettings } from "./registryOptions.ts"

export interface Endpoints {
  /** At least one; the last one is never left out. */
  readonly of: (
    host: string,
    capability: Capability
  ) => Effect.Effect<readonly [RegistryEndpoint, ...ReadonlyArray<RegistryEndpoint>], ExchangeFailed>
  /** A mirror that could not be reached, or could not answer, is left alone for a while. */
  readonly rest: (endpoint: RegistryEndpoint) => Effect.Effect<void>
}

const restMillis = 30_000
const maxRemembered = 1000

interface Remembered {
  readonly endpoints: ReadonlyArray<RegistryEndpoint>
  readonly untilMillis: number
}

const forgetOldest = (map: Map<string, unknown>): void => {
  const [oldest] = map.keys()
  if (map.size > maxRemembered && oldest !== undefined) map.delete(oldest)
}

export const makeEndpoints = ({ hosts, hostsTimeToLiveMillis }: RegistrySettings): Endpoints => {
  const known = new Map<string, Remembered>()
  const resting = new Map<string, number>()

  const lookUp = Effect.fnUntraced(function* (host: string, now: number) {
    const remembered = known.get(host)
    if (remembered !== undefined && remembered.untilMillis > now) return remembered.endpoints
    const endpoints = yield* Effect.mapError(
      hosts(host),
      (cause) => new ExchangeFailed({ reason: cause.message, transient: false, cause })
    )
    known.delete(host)
    known.set(host, { endpoints, untilMillis: now + hostsTimeToLiveMillis })
    forgetOldest(known)
    return endpoints
  })

  return {
    of: Effect.fnUntraced(function* (host: string, capability: Capability) {
      const now = yield* Clock.currentTimeMillis
      const able = (yield* lookUp(host, now)).filter(({ capabilities }) => capabilities.includes(capability))
      const last = able.at(-1)
      if (last === undefined) {
        const reason = `no server of ${host} may be used to ${capability}, says its configuration`
        return yield* new ExchangeFailed({ reason, transient: false })
      }
      // Where an upload goes does not change from one request to the next.
      const isAwake = ({ authority }: RegistryEndpoint) => capability === "push" || (resting.get(authority) ?? 0) <= now
      const awake = able.slice(0, -1).filter(isAwake)
      const [first = last, ...more] = awake
      return awake.length === 0 ? [last] : [first, ...more, last]
    }),
    rest: ({ authority }) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        resting.delete(authority)
        resting.set(authority, now + restMillis)
        forgetOldest(resting)
      })
  }
}

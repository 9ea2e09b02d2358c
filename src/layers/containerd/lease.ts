/**
 * The lease that the running fiber works under. Calls to the containerd that granted it carry it.
 */
import { Context } from "effect"

export interface Lease {
  /** The socket and the namespace of the containerd that granted it: elsewhere it means nothing. */
  readonly address: string
  readonly namespace: string
  readonly id: string
}

export const CurrentLease = Context.Reference<Lease | undefined>("effect-soci/layers/containerd/CurrentLease", {
  defaultValue: () => undefined
})

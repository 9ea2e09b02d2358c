/**
 * Leases of containerd, which keep content from the garbage collector, and the collector itself.
 */
import { Clock, Effect } from "effect"
import { randomUUID } from "node:crypto"
import type { ContentStore } from "../../services/ContentStore.ts"
import type { ContainerdConnection } from "./ContainerdConnection.ts"
import type { ContentFailures } from "./contentFailure.ts"
import { Leases } from "./gen/leases_pb.ts"
import { CurrentLease } from "./lease.ts"

type Shape = ContentStore["Service"]

/** When containerd drops a lease of a client that died, as its own clients have it. */
const lifetimeMillis = 24 * 60 * 60 * 1000

/** Who is done, or interrupted, does not wait for a containerd that went away. */
const returnPatience = "5 seconds"

/** RFC 3339 without fractions. */
const instantText = (millis: number): string => new Date(millis).toISOString().replace(/\.\d+Z$/, "Z")

export const makeLeases = (
  connection: ContainerdConnection["Service"],
  { failed }: ContentFailures
): Pick<Shape, "withLease" | "collectGarbage"> => {
  const { address, namespace, unary } = connection

  const grant = Effect.gen(function* () {
    const id = `soci-${randomUUID()}`
    const expiry = instantText((yield* Clock.currentTimeMillis) + lifetimeMillis)
    yield* unary(Leases.method.create, { id, labels: { "containerd.io/gc.expire": expiry } })
    return id
  })

  /** Whatever the effect did is done: a lease that cannot be given back now expires. */
  const giveBack = (id: string) =>
    unary(Leases.method.delete, { id }).pipe(
      Effect.timeout(returnPatience),
      Effect.catch((error) => Effect.logWarning(`the lease ${id} stays in containerd for a day: ${error.message}`))
    )

  const withLease: Shape["withLease"] = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.flatMap(CurrentLease, (held) =>
      held?.address === address && held.namespace === namespace
        ? effect
        : Effect.acquireUseRelease(
            Effect.mapError(grant, failed("lease", namespace)),
            (id) => Effect.provideService(effect, CurrentLease, { address, namespace, id }),
            giveBack
          )
    )

  // containerd collects for whoever deletes a lease and wants to wait for it.
  const collectGarbage: Shape["collectGarbage"] = grant.pipe(
    Effect.flatMap((id) => unary(Leases.method.delete, { id, sync: true })),
    Effect.asVoid,
    Effect.mapError(failed("collect", namespace)),
    Effect.provideService(CurrentLease, undefined),
    Effect.withSpan("ContentStoreContainerd.collectGarbage")
  )

  return { withLease, collectGarbage }
}

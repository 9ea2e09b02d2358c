/**
 * Deletes content of a layout directory, and collects its garbage, when nobody builds in it. Both hold the lock of the store from the first look to the last
 * removal; `index.json` is changed before the first blob goes, so that a crash leaves blobs that nobody lists, never entries of what is gone.
 */
import { Effect, Schema } from "effect"
import * as fs from "node:fs/promises"
import { ContentNotFound, type ContentStore, type ContentStoreFailed } from "../../services/ContentStore.ts"
import { Digest } from "../../services/Descriptor.ts"
import { blobPath } from "./blobFile.ts"
import type { IndexFile } from "./indexFile.ts"
import type { LoadGraph } from "./layoutGraph.ts"
import type { LayoutLease } from "./layoutLease.ts"
import { type Attempts, type Operation, unlessMissing } from "./layoutFailure.ts"
import { type LayoutIndex, withoutContent } from "./layoutIndex.ts"
import type { LayoutMedium } from "./layoutMedium.ts"
import { planCollection, planDeletion } from "./removalPlan.ts"

type Shape = ContentStore["Service"]

const isDigest = Schema.is(Digest)

interface Parts {
  readonly medium: LayoutMedium
  readonly index: IndexFile
  readonly loadGraph: LoadGraph
  readonly lease: LayoutLease
  /** Take along what only the deleted content needed. */
  readonly autoGC: boolean
}

/** Removes a blob; says whether it was there. */
const removeBlob = (
  { root, attempt }: Attempts,
  operation: Operation,
  digest: Digest
): Effect.Effect<boolean, ContentStoreFailed> =>
  attempt(operation, digest, async () => {
    const gone = await unlessMissing(fs.unlink(blobPath(root, digest)).then(() => true))
    return gone === true
  })

const refuse = ({ root, failure }: Attempts, reason: string) =>
  failure("collect", root, `unable to reload index: ${reason}`)

export const makeRemoval = ({
  medium,
  index,
  loadGraph,
  lease,
  autoGC
}: Parts): Pick<Shape, "delete" | "collectGarbage"> => {
  const { attempts } = medium

  const planOf = Effect.fnUntraced(function* (
    current: LayoutIndex,
    target: Parameters<Shape["delete"]>[0],
    alone: boolean
  ) {
    // What nothing lists may be wanted by who is building just now.
    if (!autoGC || !alone) return [target.digest]
    const graph = yield* loadGraph("delete", current)
    const unknown = graph.unreadable.filter(({ descriptor }) => descriptor.digest !== target.digest)
    const strangers = [...graph.nodes.values()].some((node) => node.strangers > 0)
    if (unknown.length === 0 && !strangers && current.foreign.length === 0) return planDeletion(graph, current, target)
    // Who knows what a manifest needs that cannot be read.
    yield* Effect.logWarning(`deleted nothing but ${target.digest}: not all manifests of ${attempts.root} can be read`)
    return [target.digest]
  })

  const removeAll = Effect.fnUntraced(function* (target: Parameters<Shape["delete"]>[0], alone: boolean) {
    const plan = yield* planOf(yield* index.read("delete", target.digest), target, alone)
    const gone = new Set(plan)
    yield* index.update("delete", target.digest, (current) => withoutContent(current, gone))
    for (const digest of plan) {
      const wasThere = yield* removeBlob(attempts, "delete", digest)
      if (!wasThere && digest === target.digest) {
        return yield* new ContentNotFound({ store: attempts.root, reference: digest })
      }
    }
  })

  const remove: Shape["delete"] = Effect.fn("ContentStoreLayout.delete")((target) =>
    index.locked(
      "delete",
      target.digest,
      lease.aloneOrNot((alone) => removeAll(target, alone))
    )
  )

  const keptOf = Effect.fnUntraced(function* (current: LayoutIndex) {
    const graph = yield* loadGraph("collect", current)
    const [unreadable] = graph.unreadable
    if (unreadable !== undefined)
      return yield* refuse(attempts, `${unreadable.descriptor.digest}: ${unreadable.reason}`)
    const stranger = [...graph.nodes.values()].find((node) => node.strangers > 0)
    if (stranger !== undefined || current.foreign.length > 0) {
      const where = stranger?.descriptor.digest ?? "index.json"
      return yield* refuse(
        attempts,
        `${where} lists content that cannot be followed, such as digests other than SHA-256`
      )
    }
    return planCollection(graph, current)
  })

  const collecting = index.locked(
    "collect",
    attempts.root,
    Effect.gen(function* () {
      const current = yield* index.read("collect", attempts.root)
      const kept = yield* keptOf(current)
      const unlisted = new Set([...current.listed.keys()].filter((digest) => !kept.has(digest)))
      if (unlisted.size > 0) {
        yield* index.update("collect", attempts.root, (latest) => withoutContent(latest, unlisted))
      }
      for (const name of yield* medium.names) {
        const digest = `sha256:${name}`
        if (isDigest(digest) && !kept.has(digest)) yield* removeBlob(attempts, "collect", digest)
      }
    })
  )

  return {
    delete: remove,
    collectGarbage: Effect.withSpan(lease.alone(collecting), "ContentStoreLayout.collectGarbage")
  }
}

/**
 * What goes when content of a layout is deleted, and what stays when garbage is collected (oci-layout-store, sections 7 and 8). Pure, and
 * it always ends: each content is looked at once.
 *
 * Unlike the reference, tagged content is never taken along, a chain of referrers stays as a whole, and referrers of what goes go.
 */
import type { Descriptor, Digest } from "../../services/Descriptor.ts"
import type { LayoutGraph } from "./layoutGraph.ts"
import type { LayoutIndex } from "./layoutIndex.ts"

const tagsOf = (index: LayoutIndex): ReadonlySet<Digest> =>
  new Set([...index.tags.values()].map(({ digest }) => digest))

const predecessorMap = ({ nodes }: LayoutGraph): Map<Digest, Set<Digest>> => {
  const predecessors = new Map<Digest, Set<Digest>>()
  for (const [digest, { successors }] of nodes) {
    for (const successor of successors) {
      const known = predecessors.get(successor.digest)
      if (known === undefined) predecessors.set(successor.digest, new Set([digest]))
      else known.add(digest)
    }
  }
  return predecessors
}

/**
 * The target; manifests that refer to it by subject; content that nothing points to any more; and so on, in this order. Tagged content
 * stays, except for the target.
 */
export const planDeletion = (graph: LayoutGraph, index: LayoutIndex, target: Descriptor): ReadonlyArray<Digest> => {
  const tagged = tagsOf(index)
  const predecessors = predecessorMap(graph)
  const going = new Set<Digest>([target.digest])
  // A set is read in the order of its insertions, those made meanwhile too.
  for (const digest of going) {
    const node = graph.nodes.get(digest)
    const { mediaType, size } = node?.descriptor ?? target
    for (const predecessor of predecessors.get(digest) ?? []) {
      const subject = graph.nodes.get(predecessor)?.subject
      const refers = subject?.digest === digest && subject.mediaType === mediaType && subject.size === size
      if (refers && !tagged.has(predecessor)) going.add(predecessor)
    }
    for (const successor of node?.successors ?? []) {
      const others = predecessors.get(successor.digest)
      others?.delete(digest)
      if (others?.size === 0 && !tagged.has(successor.digest)) going.add(successor.digest)
    }
  }
  return [...going]
}

/** What tags lead to, and the listed manifests that refer to something kept, with all below them: a fixpoint. */
export const planCollection = (graph: LayoutGraph, index: LayoutIndex): ReadonlySet<Digest> => {
  const kept = new Set<Digest>()
  const keep = (roots: ReadonlyArray<Digest>) => {
    const waiting = [...roots]
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (kept.has(next)) continue
      kept.add(next)
      waiting.push(...(graph.nodes.get(next)?.successors ?? []).map(({ digest }) => digest))
    }
  }
  keep([...tagsOf(index)])
  let candidates = [...index.listed.keys()]
  for (;;) {
    const refersToKept = (digest: Digest) => {
      const subject = graph.nodes.get(digest)?.subject
      return subject !== undefined && kept.has(subject.digest)
    }
    const found = candidates.filter((digest) => !kept.has(digest) && refersToKept(digest))
    if (found.length === 0) return kept
    keep(found)
    candidates = candidates.filter((digest) => !kept.has(digest))
  }
}

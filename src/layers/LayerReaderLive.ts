/**
 * Reads layers through the span store, with the tree built from the ztoc when the layer is opened.
 */
import { Effect, Layer } from "effect"
import { FileNotInLayer, LayerReader, type Layer as OpenLayer } from "../services/LayerReader.ts"
import type { LayerTree } from "../services/LayerTree.ts"
import { type LayerSpans, SpanStore } from "../services/SpanStore.ts"
import { InvalidZtoc } from "../services/Ztoc.ts"
import { buildLayerTree } from "../streams/layerTree.ts"
import { streamEnd } from "../streams/spanTable.ts"

const typeMask = 0o170000
const regularType = 0o100000

export const layer: Layer.Layer<LayerReader, never, SpanStore> = Layer.effect(
  LayerReader,
  Effect.gen(function* () {
    const store = yield* SpanStore
    return LayerReader.of({
      open: Effect.fn("LayerReader.open")(function* (toOpen) {
        yield* Effect.annotateCurrentSpan({ layer: toOpen.digest })
        const tree = yield* Effect.fromResult(buildLayerTree(toOpen.ztoc.entries))
        const spans = yield* store.open(toOpen)
        yield* checkRanges(tree, streamEnd(spans.table))
        return layerOf(tree, spans)
      })
    })
  })
)

const isRegular = (tree: LayerTree, node: number) => ((tree.mode[node] ?? 0) & typeMask) === regularType

/** No file's data may lie outside the archive. */
const checkRanges = (tree: LayerTree, end: number): Effect.Effect<void, InvalidZtoc> => {
  for (let node = 0; node < tree.nodeCount; node++) {
    const [offset = 0, size = 0] = [tree.dataOffset[node], tree.size[node]]
    if (!isRegular(tree, node) || size === 0 || offset + size <= end) continue
    const reason = `${size} bytes at ${offset} are not inside the archive of ${end} bytes`
    return new InvalidZtoc({ stage: "toc", field: `metadata[${tree.entry[node]}]`, reason })
  }
  return Effect.void
}

const layerOf = (tree: LayerTree, spans: LayerSpans): OpenLayer => ({
  tree,
  spans,
  readFile: Effect.fnUntraced(function* (node, offset, length) {
    if (!isRegular(tree, node)) {
      const reason = node < tree.nodeCount ? "it is not a regular file" : "there is no such node"
      return yield* new FileNotInLayer({ layer: spans.layer, path: `node ${node}`, reason })
    }
    const start = Math.max(offset, 0)
    const end = Math.min(offset + length, tree.size[node] ?? 0)
    if (start >= end) return new Uint8Array(0)
    return yield* spans.read((tree.dataOffset[node] ?? 0) + start, end - start)
  })
})

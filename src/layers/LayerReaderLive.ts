/**
 * Reads layers through the span store, with the tree built from the ztoc when the layer is opened.
 */
import { Effect, Layer } from "effect"
import { FileNotInLayer, LayerReader, type Layer as OpenLayer } from "../services/LayerReader.ts"
import type { LayerTree } from "../services/LayerTree.ts"
import { type LayerSpans, SpanStore } from "../services/SpanStore.ts"
import { buildLayerTree } from "../streams/layerTree.ts"

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
        return layerOf(tree, spans)
      })
    })
  })
)

const isRegular = (tree: LayerTree, node: number) => ((tree.mode[node] ?? 0) & typeMask) === regularType

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

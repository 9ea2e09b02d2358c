/**
 * Reads layers through the span store, with the tree built from the ztoc when the layer is opened.
 */
import { Effect, Layer } from "effect"
import { FileNotInLayer, LayerReader, type Layer as OpenLayer } from "../services/LayerReader.ts"
import { type LayerTree, noEntry } from "../services/LayerTree.ts"
import { type LayerSpans, SpanStore } from "../services/SpanStore.ts"
import { layoutEntries, type PlacedEntry } from "../streams/codec/ztoc.ts"
import { buildLayerTree } from "../streams/layerTree.ts"
import { checkHeaderLength, checkTarHeader } from "../streams/tarHeaderCheck.ts"

const typeMask = 0o170000
const regularType = 0o100000

export const layer: Layer.Layer<LayerReader, never, SpanStore> = Layer.effect(
  LayerReader,
  Effect.gen(function* () {
    const store = yield* SpanStore
    return LayerReader.of({
      open: Effect.fn("LayerReader.open")(function* (toOpen) {
        yield* Effect.annotateCurrentSpan({ layer: toOpen.digest })
        const entries = yield* Effect.fromResult(layoutEntries(toOpen.ztoc.entries))
        const tree = yield* Effect.fromResult(buildLayerTree(entries.map(({ entry }) => entry)))
        const spans = yield* store.open(toOpen)
        return layerOf(tree, spans, entries)
      })
    })
  })
)

const isRegular = (tree: LayerTree, node: number) => ((tree.mode[node] ?? 0) & typeMask) === regularType

const layerOf = (tree: LayerTree, spans: LayerSpans, entries: ReadonlyArray<PlacedEntry>): OpenLayer => ({
  tree,
  spans,
  readFile: makeReadFile(tree, spans, makeCheckHeader(tree, spans, entries))
})

/** Holds a node's tar header against its entry, once. */
const makeCheckHeader = (tree: LayerTree, spans: LayerSpans, entries: ReadonlyArray<PlacedEntry>) => {
  const checked = new Set<number>()
  return Effect.fnUntraced(function* (node: number) {
    if (checked.has(node)) return
    const entry = entries[tree.entry[node] ?? noEntry]
    if (entry === undefined) return
    const length = yield* Effect.fromResult(checkHeaderLength(entry))
    const header = yield* spans.read(entry.headerOffset, length)
    yield* Effect.fromResult(checkTarHeader(entry, header))
    checked.add(node)
  })
}

const makeReadFile = (
  tree: LayerTree,
  spans: LayerSpans,
  checkHeader: ReturnType<typeof makeCheckHeader>
): OpenLayer["readFile"] =>
  Effect.fnUntraced(function* (node, offset, length) {
    if (!isRegular(tree, node)) {
      const reason = node < tree.nodeCount ? "it is not a regular file" : "there is no such node"
      return yield* new FileNotInLayer({ layer: spans.layer, path: `node ${node}`, reason })
    }
    const start = Math.max(offset, 0)
    const end = Math.min(offset + length, tree.size[node] ?? 0)
    if (start >= end) return new Uint8Array(0)
    yield* checkHeader(node)
    return yield* spans.read((tree.dataOffset[node] ?? 0) + start, end - start)
  })

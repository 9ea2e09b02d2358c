/**
 * Reads a layer by its ztoc: its file tree, and any bytes of its uncompressed stream. What FUSE, EROFS, `get-file` and
 * library users share.
 */
import { Context, type Effect, Schema, type Scope } from "effect"
import type { InvalidTree, LayerTree } from "./LayerTree.ts"
import type { LayerSpans, LayerToOpen, SpanStoreFailed, SpanUnavailable } from "./SpanStore.ts"
import type { InvalidZtoc } from "./Ztoc.ts"
import type { TarHeaderMismatch } from "./ZtocReader.ts"

/** There is no such file in the layer, or it is not one whose content can be read. */
export class FileNotInLayer extends Schema.TaggedError<FileNotInLayer>()("FileNotInLayer", {
  layer: Schema.String,
  path: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.path} cannot be read from layer ${this.layer}: ${this.reason}`
  }
}

export interface Layer {
  readonly tree: LayerTree
  readonly spans: LayerSpans
  /**
   * Bytes of the file of a node; shorter at its end, empty behind it. Before the first byte of a file comes out, its tar header is held
   * against the ztoc.
   */
  readFile(
    node: number,
    offset: number,
    length: number
  ): Effect.Effect<Uint8Array, SpanUnavailable | FileNotInLayer | TarHeaderMismatch>
}

export class LayerReader extends Context.Service<
  LayerReader,
  {
    open(
      layer: LayerToOpen
    ): Effect.Effect<Layer, InvalidZtoc | InvalidTree | SpanStoreFailed | SpanUnavailable, Scope.Scope>
  }
>()("effect-soci/services/LayerReader") {}

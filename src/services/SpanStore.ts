/**
 * The spans of layers, local or not yet.
 *
 * A layer's spans live in one sparse file that holds the layer's uncompressed stream at its own offsets, beside a table that
 * says which spans are there. A span's compressed bytes are verified against its digest before they are inflated; only then is it
 * written, and only then is its bit set: a set bit means the bytes can be read by anybody, with a plain pread and no lock.
 * Any number of readers waiting for a span share one fetch. Each open layer is an actor: only its fiber starts fetches and
 * sets bits.
 */
import { Context, type Effect, Schema, type Scope } from "effect"
import type { Digest } from "./Descriptor.ts"
import type { RemoteBlob } from "./RemoteBlob.ts"
import type { InvalidZtoc, Ztoc } from "./Ztoc.ts"

/**
 * Which spans of a layer are local, in memory shared with reader threads. `starts[i]` is the uncompressed offset of span i,
 * `starts[count]` the end of the last; bit i of `present` is set once span i can be read.
 */
export interface SpanTable {
  readonly buffer: SharedArrayBuffer
  readonly count: number
  readonly starts: Float64Array
  readonly present: Int32Array
}

/** A span that was asked for cannot be had: readers get EIO. */
export class SpanUnavailable extends Schema.TaggedError<SpanUnavailable>()("SpanUnavailable", {
  layer: Schema.String,
  span: Schema.Int,
  kind: Schema.Literals(["network", "digest", "inflate", "disk", "closed"]),
  reason: Schema.String,
  expectedDigest: Schema.optionalKey(Schema.String),
  actualDigest: Schema.optionalKey(Schema.String),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    const digests =
      this.expectedDigest === undefined ? "" : ` (expected ${this.expectedDigest} but got ${this.actualDigest})`
    return `span ${this.span} of layer ${this.layer} cannot be read: ${this.reason}${digests}`
  }
}

/** The local file of a layer cannot be made. */
export class SpanStoreFailed extends Schema.TaggedError<SpanStoreFailed>()("SpanStoreFailed", {
  layer: Schema.String,
  path: Schema.String,
  reason: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `cannot prepare the local file ${this.path} of layer ${this.layer}: ${this.reason}`
  }
}

export interface SpanStats {
  readonly spans: number
  readonly spansLocal: number
  /** Compressed bytes that came over the network, repeated fetches included. */
  readonly fetchedBytes: number
  readonly requests: number
  readonly digestMismatches: number
}

/** An open layer. */
export interface LayerSpans {
  readonly layer: Digest
  /** The sparse file of the uncompressed stream; its size is the archive's, rounded up to 512. */
  readonly path: string
  readonly size: number
  readonly table: SpanTable
  /** Succeeds once every span that holds a byte of [offset, offset + length) is local. */
  ensure(offset: number, length: number): Effect.Effect<void, SpanUnavailable>
  /**
   * The same, but where the disk has no room for the spans it answers with the bytes themselves, which are then in memory only:
   * undefined says that they are local.
   */
  supply(offset: number, length: number): Effect.Effect<Uint8Array | undefined, SpanUnavailable>
  /** The bytes [offset, offset + length), less where the stream ends. */
  read(offset: number, length: number): Effect.Effect<Uint8Array, SpanUnavailable>
  /**
   * Makes missing spans local that nobody waits for, so many compressed bytes of them or one span: those behind what was wanted last, then
   * those in front. Reads go before them. False once every span is local.
   */
  fill(bytes: number): Effect.Effect<boolean, SpanUnavailable>
  /**
   * From here to the end of the scope the kernel reads the file by itself: no byte of it is taken away, not even by another process after this
   * one has died with its mounts still there.
   */
  readonly hold: Effect.Effect<void, SpanStoreFailed, Scope.Scope>
  readonly stats: Effect.Effect<SpanStats>
}

export interface LayerToOpen {
  readonly digest: Digest
  readonly ztoc: Ztoc
  readonly blob: RemoteBlob
}

export class SpanStore extends Context.Service<
  SpanStore,
  {
    /**
     * Opens a layer, or joins the one that is open under this digest with the same spans and checkpoints; closed with the
     * last scope. The blob is read only as long as the opener's scope is open; those who joined read from their own.
     */
    open(layer: LayerToOpen): Effect.Effect<LayerSpans, InvalidZtoc | SpanStoreFailed | SpanUnavailable, Scope.Scope>
    /** Waits until no read waits for spans of any layer. */
    readonly whenQuiet: Effect.Effect<void>
    /** Waits until a read waits for spans of any layer. */
    readonly whenWanted: Effect.Effect<void>
  }
>()("effect-soci/services/SpanStore") {}

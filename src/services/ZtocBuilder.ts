/**
 * Builds ztocs: one pass over the compressed layer, off the main thread.
 *
 * Memory for one build is the compressed chunks in flight (2 MiB), the output buffer of the inflater (288 KiB), 32785 bytes for each
 * checkpoint (three times while the ztoc is written: 100 KB for each span) and about 700 bytes for each tar entry (twice while it is
 * written), and what chunks of the caller the collector has not taken yet; it does not depend on the layer's size
 * otherwise. As many builds run at the same time as there are cores; more wait. Interruption ends a build at once and leaves nothing.
 */
import { Context, type Effect, Schema, type Stream } from "effect"
import type { Digest } from "./Descriptor.ts"
import type { LayerCompression } from "./MediaType.ts"

export const defaultSpanSize = 4 * 1024 * 1024
export const defaultMinLayerSize = 10 * 1024 * 1024
export const defaultBuildToolIdentifier = "AWS SOCI CLI v0.2"

export interface ZtocBuildOptions {
  /** What the layer's media type declares. */
  readonly compression: LayerCompression
  /** The layer's media type, for errors. */
  readonly mediaType?: string
  /** Uncompressed bytes; for gzip, 0 starts a span at each deflate block. */
  readonly spanSize: number
  readonly buildToolIdentifier: string
  /** The layer's digest where the source checks it already; otherwise it is computed, which costs a sixth of the build again. */
  readonly layerDigest?: Digest | undefined
}

export interface BuiltZtoc {
  readonly bytes: Uint8Array
  readonly digest: Digest
  readonly spans: number
  readonly entries: number
  /** Digest and size of the compressed layer that went by. */
  readonly layerDigest: Digest
  readonly layerSize: number
  /** Bytes of the uncompressed stream, all of it: also what follows the end of the archive. */
  readonly uncompressedSize: number
  /** No entry has an extended attribute and none is an opaque marker (index-and-artifacts, 4.6). */
  readonly withoutXattrs: boolean
}

export type ZtocBuildEvent =
  | { readonly _tag: "Progress"; readonly compressedBytes: number; readonly uncompressedBytes: number }
  | { readonly _tag: "Built"; readonly ztoc: BuiltZtoc }

/** The layer is packed in a way no ztoc can describe; callers skip it. */
export class UnsupportedCompression extends Schema.TaggedError<UnsupportedCompression>()("UnsupportedCompression", {
  compression: Schema.String,
  /** The layer's, where the caller told it. */
  mediaType: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const of = this.mediaType === undefined ? "" : ` (${this.mediaType})`
    return `unsupported compression algorithm, supported: gzip, got: ${this.compression}${of}`
  }
}

/** The layer is not valid gzip or tar, breaks a limit, or cannot be built with these options. */
export class InvalidLayer extends Schema.TaggedError<InvalidLayer>()("InvalidLayer", {
  /** What refused it. */
  stage: Schema.Literals(["options", "gzip", "tar", "marshal"]),
  /** The text of the reference, where it has one for the case. */
  reason: Schema.String,
  /** Offset in the compressed layer (gzip) or in the uncompressed stream (tar). */
  offset: Schema.Number
}) {
  override get message(): string {
    return this.reason
  }
}

/** The thread that builds died. */
export class ZtocBuildCrashed extends Schema.TaggedError<ZtocBuildCrashed>()("ZtocBuildCrashed", {
  cause: Schema.Defect()
}) {
  override get message(): string {
    return "the thread that builds the ztoc ended unexpectedly"
  }
}

export type ZtocBuildError = UnsupportedCompression | InvalidLayer | ZtocBuildCrashed

export class ZtocBuilder extends Context.Service<
  ZtocBuilder,
  {
    build<E, R>(
      layer: Stream.Stream<Uint8Array, E, R>,
      options: ZtocBuildOptions
    ): Effect.Effect<BuiltZtoc, ZtocBuildError | E, R>
    /** The same with progress; the last event is `Built`. A consumer that is slow slows the build. */
    events<E, R>(
      layer: Stream.Stream<Uint8Array, E, R>,
      options: ZtocBuildOptions
    ): Stream.Stream<ZtocBuildEvent, ZtocBuildError | E, R>
  }
>()("effect-soci/services/ZtocBuilder") {}

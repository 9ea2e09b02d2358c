/**
 * Builds ztocs: one pass over the compressed layer, off the main thread.
 *
 * Memory for one build is the compressed chunks in flight (at most 8 of 256 KiB), a fixed inflate buffer of about 1 MiB, 32785
 * bytes for each checkpoint and about 300 bytes for each tar entry; it does not depend on the layer's size otherwise.
 * As many builds run at the same time as there are cores; more wait. Interruption stops the inflating thread at once.
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
  /** Uncompressed bytes; 0 starts a span at each deflate block. */
  readonly spanSize: number
  readonly buildToolIdentifier: string
  /** Called now and then with the compressed bytes consumed so far. */
  readonly onProgress?: (compressedBytes: number) => void
}

export interface BuiltZtoc {
  readonly bytes: Uint8Array
  readonly digest: Digest
  readonly spans: number
  readonly entries: number
  /** Digest and size of the compressed layer that went by. */
  readonly layerDigest: Digest
  readonly layerSize: number
  /** Digest of the uncompressed stream, for the diff ID; all of it, padding included. */
  readonly uncompressedSize: number
  /** No entry has an extended attribute and none is an opaque marker (index-and-artifacts, 4.6). */
  readonly withoutXattrs: boolean
}

/** The layer is packed in a way no ztoc can describe; callers skip it. */
export class UnsupportedCompression extends Schema.TaggedError<UnsupportedCompression>()("UnsupportedCompression", {
  compression: Schema.String
}) {
  override get message(): string {
    return `unsupported compression algorithm, supported: gzip, got: ${this.compression}`
  }
}

/** The layer is not valid gzip or tar, or breaks a limit. */
export class InvalidLayer extends Schema.TaggedError<InvalidLayer>()("InvalidLayer", {
  /** What refused it: the decompressor or the tar reader. */
  stage: Schema.Literals(["options", "gzip", "tar", "marshal"]),
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
  }
>()("effect-soci/services/ZtocBuilder") {}

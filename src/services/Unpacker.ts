/**
 * Turns a layer's tar into files on disk.
 *
 * Nothing is ever written, linked or changed outside `directory`, whatever names and links the tar contains. A failed or interrupted
 * unpack leaves a directory that must not be used; the caller removes it.
 */
import { Context, type Effect, Schema, type Stream } from "effect"
import type { ByteString } from "./Ztoc.ts"

/**
 * What a whiteout becomes. `overlay`: a character device 0:0 or an opaque mark, for a directory that will be an overlay
 * lower; `overlay-userxattr`: the same for an overlay that is mounted with `userxattr`. `apply`: what it names is removed, for layers
 * applied one upon the other into one root.
 */
export type WhiteoutForm = "overlay" | "overlay-userxattr" | "apply"

/** The tar cannot be read, or asks for what must not be done. */
export class UnpackFailed extends Schema.TaggedError<UnpackFailed>()("UnpackFailed", {
  directory: Schema.String,
  /** Name of the tar entry, empty where there is none. */
  entry: Schema.String,
  operation: Schema.String,
  reason: Schema.String,
  errno: Schema.optionalKey(Schema.Int),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    const entry = this.entry === "" ? "" : ` "${this.entry}"`
    return `cannot unpack${entry} into ${this.directory}: ${this.operation}: ${this.reason}`
  }
}

export interface UnpackedTar {
  readonly entries: number
  /**
   * Directories that no entry described but that paths lead through, in order. They were made with mode 0755 and owner 0:0; where they
   * will lie upon other layers they should get the owner and mode that those have.
   */
  readonly impliedDirectories: ReadonlyArray<ByteString>
}

export class Unpacker extends Context.Service<
  Unpacker,
  {
    /** Applies an uncompressed tar stream to a directory that exists. */
    unpack<E, R>(
      tar: Stream.Stream<Uint8Array, E, R>,
      options: { readonly directory: string; readonly whiteouts: WhiteoutForm }
    ): Effect.Effect<UnpackedTar, UnpackFailed | E, R>
  }
>()("effect-soci/services/Unpacker") {}

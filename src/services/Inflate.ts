/**
 * Inflates spans: raw deflate data that begin at any bit, with the 32 KiB of output before them as dictionary.
 *
 * Memory is the span's own sizes, which the caller has checked. Work runs off the main thread where the implementation can.
 */
import { Context, type Effect, Schema } from "effect"

/** Where inflating begins and what must come out. */
export interface InflateRequest {
  /** Compressed bytes of the span; with `bits` > 0 the first byte contributes only its high `bits` bits. */
  readonly compressed: Uint8Array
  readonly bits: number
  readonly window: Uint8Array
  /** Uncompressed bytes the span holds. Fewer is an error, what follows is left. */
  readonly length: number
}

/** The compressed bytes are not what the checkpoint says. */
export class InflateFailed extends Schema.TaggedError<InflateFailed>()("InflateFailed", {
  implementation: Schema.String,
  reason: Schema.String,
  expectedLength: Schema.Number,
  actualLength: Schema.Number
}) {
  override get message(): string {
    return (
      `cannot inflate (${this.implementation}): ${this.reason}; ` +
      `${this.actualLength} of ${this.expectedLength} bytes came out`
    )
  }
}

export class Inflate extends Context.Service<
  Inflate,
  {
    readonly implementation: "zlib" | "isal" | "pako"
    inflate(request: InflateRequest): Effect.Effect<Uint8Array, InflateFailed>
  }
>()("effect-soci/services/Inflate") {}

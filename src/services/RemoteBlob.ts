/**
 * A blob that was opened once and is then read by ranges, wherever it lies: a registry, an OCI layout, containerd.
 *
 * A read delivers exactly the bytes asked for, in order, or fails; it never delivers bytes of another place. No digest
 * covers a range by itself: whoever reads one checks it (span digests) before use.
 */
import { Schema, type Stream } from "effect"
import type { Descriptor } from "./Descriptor.ts"

/** Ranges of a blob could not be read, after all retries. */
export class BlobReadFailed extends Schema.TaggedError<BlobReadFailed>()("BlobReadFailed", {
  /** Where it was read: registry, repository or path, and digest. Never a credential or a query. */
  blob: Schema.String,
  offset: Schema.Number,
  length: Schema.Number,
  reason: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `cannot read ${this.blob} [${this.offset}, ${this.offset + this.length}): ${this.reason}`
  }
}

export interface RemoteBlob {
  readonly descriptor: Descriptor
  /** Where the blob is, for messages: `host/repository@sha256:…` or a path. */
  readonly location: string
  /** Exactly `length` bytes from `offset`. Interruption closes the transfer. */
  read(offset: number, length: number): Stream.Stream<Uint8Array, BlobReadFailed>
}

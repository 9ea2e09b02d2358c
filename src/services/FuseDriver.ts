/**
 * Serves file systems through FUSE.
 *
 * Content is immutable, so kernels are told to cache for as long as they like. Requests that need no network are answered
 * at once; a read of bytes that are not local waits for its layer's `supply`, and a read that fails gets EIO. A mount ends
 * with its scope: it is unmounted (lazily if it is busy), its requests are answered, its descriptor closed.
 */
import { Context, type Effect, Schema, type Scope } from "effect"
import type { Layer } from "./LayerReader.ts"
import type { LayerSpans } from "./SpanStore.ts"

/** Under which names opaque directories carry their mark (overlayfs; `userxattr` reads the user name). */
export type OpaqueXattr = "trusted" | "user" | "all"

/** A mount, FUSE or not, could not be made. */
export class MountFailed extends Schema.TaggedError<MountFailed>()("MountFailed", {
  type: Schema.Literals(["fuse", "erofs", "overlay", "tmpfs"]),
  mountPoint: Schema.String,
  reason: Schema.String,
  /** Linux errno, where the kernel gave one. */
  errno: Schema.optionalKey(Schema.Int),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `cannot mount ${this.type} at ${this.mountPoint}: ${this.reason}`
  }
}

/** A driver cannot be used in this process. */
export class FuseDriverUnavailable extends Schema.TaggedError<FuseDriverUnavailable>()("FuseDriverUnavailable", {
  implementation: Schema.Literals(["kernel", "fuse-native"]),
  /** What is missing, and how to get it. */
  reason: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `the FUSE driver ${this.implementation} cannot be used: ${this.reason}`
  }
}

/** What is mounted and served. */
export interface FuseMount {
  readonly mountPoint: string
  /** Requests answered so far, and those of them that waited for spans. */
  readonly counts: Effect.Effect<{ readonly requests: number; readonly waited: number }>
}

/** A mount with one read-only file for each layer's uncompressed stream, and for small files in memory. */
export interface BlobMount extends FuseMount {
  /** Shows a layer's stream as `<mountPoint>/<name>`, as long as the scope is open. */
  addLayer(name: string, spans: LayerSpans): Effect.Effect<string, MountFailed, Scope.Scope>
  /** Shows bytes as `<mountPoint>/<name>`, as long as the scope is open. */
  addBytes(name: string, bytes: Uint8Array): Effect.Effect<string, MountFailed, Scope.Scope>
}

export class FuseDriver extends Context.Service<
  FuseDriver,
  {
    readonly implementation: "kernel" | "fuse-native"
    /** Mounts a layer's tree. `source` is what /proc/mounts shows first. */
    mountTree(options: {
      readonly mountPoint: string
      readonly source: string
      readonly layer: Layer
      readonly opaqueXattr: OpaqueXattr
    }): Effect.Effect<FuseMount, MountFailed, Scope.Scope>
    mountBlobs(options: {
      readonly mountPoint: string
      readonly source: string
    }): Effect.Effect<BlobMount, MountFailed, Scope.Scope>
  }
>()("effect-soci/services/FuseDriver") {}

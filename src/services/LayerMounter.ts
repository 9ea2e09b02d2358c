/**
 * Mounts a layer: as EROFS where the kernel can and the layer can be expressed, else as a FUSE tree. Both show the same tree; only
 * speed differs. A mount ends with its scope.
 */
import { Context, type Effect, Schema, type Scope } from "effect"
import type { MountFailed, OpaqueXattr } from "./FuseDriver.ts"
import type { Layer } from "./LayerReader.ts"

export const MountMode = Schema.Literals(["auto", "erofs", "fuse"])
export type MountMode = typeof MountMode.Type

/** `erofs` was demanded and cannot be had. */
export class ErofsUnavailable extends Schema.TaggedError<ErofsUnavailable>()("ErofsUnavailable", {
  reason: Schema.String
}) {
  override get message(): string {
    return `EROFS mounts are not possible here: ${this.reason}. Use --mount-mode fuse or auto`
  }
}

export interface LayerMount {
  readonly mountPoint: string
  readonly mode: "erofs" | "fuse"
  /** Why the layer is not mounted as EROFS, in `auto` mode. */
  readonly fallbackReason: string | undefined
}

export class LayerMounter extends Context.Service<
  LayerMounter,
  {
    mount(options: {
      readonly layer: Layer
      readonly mountPoint: string
      readonly mode: MountMode
      readonly opaqueXattr: OpaqueXattr
    }): Effect.Effect<LayerMount, MountFailed | ErofsUnavailable, Scope.Scope>
  }
>()("effect-soci/services/LayerMounter") {}

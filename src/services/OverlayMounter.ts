/**
 * Stacks directories with overlayfs. A mount ends with its scope: it is unmounted, lazily if it stays busy; the directories below it are
 * left as they are and must not change while it is there.
 */
import { Context, type Effect, type Scope } from "effect"
import type { MountFailed } from "./FuseDriver.ts"

export interface OverlayOptions {
  /** A directory that exists. */
  readonly mountPoint: string
  /** At least one and at most 500; the first is on top. */
  readonly lowerDirs: ReadonlyArray<string>
  /** Where changes go; without it the mount is read-only. */
  readonly upperDir?: string
  /** An empty directory beside `upperDir`, on the same file system; given if and only if that is. */
  readonly workDir?: string
  /** More mount options as overlayfs knows them, `name` or `name=value`; `index=off` is always among them. */
  readonly options?: ReadonlyArray<string>
}

export class OverlayMounter extends Context.Service<
  OverlayMounter,
  {
    mount(options: OverlayOptions): Effect.Effect<void, MountFailed, Scope.Scope>
  }
>()("effect-soci/services/OverlayMounter") {}

/**
 * containerd's snapshot semantics (snapshotter-daemon spec): a tree of committed snapshots, active and view snapshots on top of it, and the
 * mounts that show them. No lock and no transaction is held while anything is fetched or mounted.
 */
import { Context, type Effect, Schema, type Stream } from "effect"

export const SnapshotKind = Schema.Literals(["Committed", "Active", "View"])
export type SnapshotKind = typeof SnapshotKind.Type

export interface SnapshotInfo {
  readonly kind: SnapshotKind
  readonly name: string
  /** Empty for a snapshot without parent. */
  readonly parent: string
  readonly labels: Readonly<Record<string, string>>
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** A mount as containerd is told of it. */
export interface SnapshotMount {
  readonly type: string
  readonly source: string
  readonly options: ReadonlyArray<string>
}

export interface SnapshotUsage {
  readonly inodes: number
  /** Bytes. */
  readonly size: number
}

export class SnapshotNotFound extends Schema.TaggedError<SnapshotNotFound>()("SnapshotNotFound", {
  key: Schema.String
}) {
  override get message(): string {
    return `snapshot ${this.key} does not exist: not found`
  }
}

/** Also how a remote snapshot is announced: the layer is there, nothing has to be pulled. */
export class SnapshotExists extends Schema.TaggedError<SnapshotExists>()("SnapshotExists", { key: Schema.String }) {
  override get message(): string {
    return `snapshot ${this.key}: already exists`
  }
}

/** The snapshot is of a kind, or has children, that forbid the operation. */
export class SnapshotStateRefused extends Schema.TaggedError<SnapshotStateRefused>()("SnapshotStateRefused", {
  key: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `snapshot ${this.key}: ${this.reason}: failed precondition`
  }
}

/** The snapshot's layers cannot be reached now. */
export class SnapshotUnavailable extends Schema.TaggedError<SnapshotUnavailable>()("SnapshotUnavailable", {
  key: Schema.String,
  reason: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `snapshot ${this.key}: ${this.reason}: unavailable`
  }
}

export type SnapshotError = SnapshotNotFound | SnapshotExists | SnapshotStateRefused | SnapshotUnavailable

type Labels = Readonly<Record<string, string>>

export class Snapshotter extends Context.Service<
  Snapshotter,
  {
    stat(key: string): Effect.Effect<SnapshotInfo, SnapshotError>
    /** Changes labels; `fieldPaths` names those that change, all when empty. */
    update(info: SnapshotInfo, fieldPaths: ReadonlyArray<string>): Effect.Effect<SnapshotInfo, SnapshotError>
    usage(key: string): Effect.Effect<SnapshotUsage, SnapshotError>
    mounts(key: string): Effect.Effect<ReadonlyArray<SnapshotMount>, SnapshotError>
    prepare(key: string, parent: string, labels: Labels): Effect.Effect<ReadonlyArray<SnapshotMount>, SnapshotError>
    view(key: string, parent: string, labels: Labels): Effect.Effect<ReadonlyArray<SnapshotMount>, SnapshotError>
    commit(name: string, key: string, labels: Labels): Effect.Effect<void, SnapshotError>
    remove(key: string): Effect.Effect<void, SnapshotError>
    /** All snapshots that match one of the filters (containerd's filter syntax); all when there is none. */
    list(filters: ReadonlyArray<string>): Stream.Stream<SnapshotInfo, SnapshotError>
    /** Removes what no snapshot needs any more. */
    readonly cleanup: Effect.Effect<void, SnapshotError>
  }
>()("effect-soci/services/Snapshotter") {}

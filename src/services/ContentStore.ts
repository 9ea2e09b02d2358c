/**
 * Holds immutable blobs by digest, and names some of them by tags.
 *
 * Content becomes visible only once it is complete, verified and durable: a failed, interrupted or killed `ingest` leaves no
 * trace that a reader could see, and what it left on disk is swept by the next opening. Ingesting what is already
 * there is a no-op that does not read its source. Tags and the graph of manifests survive a crash whole: the old state or
 * the new one. Several processes may use one store at the same time.
 */
import { Context, type Effect, type Option, Schema, type Scope, type Stream } from "effect"
import type { ContentMismatch, Descriptor, Digest } from "./Descriptor.ts"
import type { RemoteBlob } from "./RemoteBlob.ts"

/** The store has no such content. */
export class ContentNotFound extends Schema.TaggedError<ContentNotFound>()("ContentNotFound", {
  store: Schema.String,
  /** A digest or a tag. */
  reference: Schema.String
}) {
  override get message(): string {
    return `${this.reference} is not in ${this.store}`
  }
}

/** The medium under the store failed, or holds what is no store. */
export class ContentStoreFailed extends Schema.TaggedError<ContentStoreFailed>()("ContentStoreFailed", {
  operation: Schema.Literals([
    "open",
    "resolve",
    "exists",
    "read",
    "ingest",
    "tag",
    "untag",
    "list",
    "referrers",
    "delete",
    "label",
    "lease",
    "collect"
  ]),
  store: Schema.String,
  reference: Schema.String,
  reason: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `cannot ${this.operation} ${this.reference} in ${this.store}: ${this.reason}`
  }
}

export type ContentStoreError = ContentNotFound | ContentStoreFailed

export interface TaggedContent {
  readonly tag: string
  readonly descriptor: Descriptor
}

/** A blob as a store lists it: its media type is known to those who refer to it. */
export interface StoredBlob {
  readonly digest: Digest
  readonly size: number
}

export class ContentStore extends Context.Service<
  ContentStore,
  {
    /** What the store is, for messages: a path or a socket. */
    readonly location: string

    exists(digest: Digest): Effect.Effect<boolean, ContentStoreFailed>

    /** A whole blob; verified against the descriptor as it passes. */
    read(descriptor: Descriptor): Stream.Stream<Uint8Array, ContentStoreError | ContentMismatch>

    /** A document of at most 4 MiB in memory, verified. */
    readDocument(descriptor: Descriptor): Effect.Effect<Uint8Array, ContentStoreError | ContentMismatch>

    /** Opens a blob for ranged reads. */
    open(descriptor: Descriptor): Effect.Effect<RemoteBlob, ContentStoreError, Scope.Scope>

    ingest<E, R>(
      descriptor: Descriptor,
      content: Stream.Stream<Uint8Array, E, R>
    ): Effect.Effect<void, E | ContentMismatch | ContentStoreFailed, R>

    /** The descriptor a tag or a digest stands for. */
    resolve(reference: string): Effect.Effect<Descriptor, ContentStoreError>

    /** Names content. Moves the tag if it names something else. */
    tag(descriptor: Descriptor, tag: string): Effect.Effect<void, ContentStoreError>

    /** Takes a tag away; the content stays. */
    untag(tag: string): Effect.Effect<void, ContentStoreError>

    /** All tags, in byte order. */
    readonly tags: Effect.Effect<ReadonlyArray<TaggedContent>, ContentStoreFailed>

    /** The only image of the store, if there is just one. */
    readonly single: Effect.Effect<Option.Option<Descriptor>, ContentStoreFailed>

    /** Manifests whose subject is the given manifest, filtered by artifact type when one is given. */
    referrers(subject: Digest, artifactType?: string): Effect.Effect<ReadonlyArray<Descriptor>, ContentStoreFailed>

    /** What points to the content directly: manifests and indexes that list it or have it as their subject. */
    predecessors(digest: Digest): Effect.Effect<ReadonlyArray<Descriptor>, ContentStoreFailed>

    /** Every blob of the store, in byte order of the digests as far as the store keeps one. */
    readonly blobs: Stream.Stream<StoredBlob, ContentStoreFailed>

    /**
     * Takes content away. In an OCI layout what refers to it by subject goes too, as does what nobody else lists and no tag names
     * (oci-layout-store, section 7); in containerd just this blob goes.
     */
    delete(descriptor: Descriptor): Effect.Effect<void, ContentStoreError>

    /** Removes what no tag (in containerd: no image, label or lease) leads to. */
    readonly collectGarbage: Effect.Effect<void, ContentStoreFailed>

    /**
     * While the effect runs no garbage collection takes what it ingests or touches: a containerd lease; in an OCI layout a lock among
     * processes, under which deletions take nothing along and collections wait.
     */
    withLease<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | ContentStoreFailed, R>

    /** Keeps `child` as long as `parent` is kept (containerd's garbage-collection labels; nothing in an OCI layout). */
    label(parent: Digest, key: string, value: string): Effect.Effect<void, ContentStoreError>
  }
>()("effect-soci/services/ContentStore") {}

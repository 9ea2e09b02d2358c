/**
 * Which SOCI artifacts exist on this machine, and for which image and layer (index-and-artifacts spec, section 10).
 *
 * One row for each artifact digest. Several images may share an index, because v2 indexes of equal layers are equal: its row speaks of the
 * image that was written last, and it is found by all of them. Every operation is one transaction; CLI and daemon may use the
 * data base at the same time, and a process that dies leaves the state before or after its transaction. Who finds it locked waits for
 * some seconds, says so, and gives up with an error.
 */
import { Context, type Effect, type Option, Schema, type Stream } from "effect"
import { Digest } from "./Descriptor.ts"

export class ArtifactEntry extends Schema.Class<ArtifactEntry>("ArtifactEntry")({
  digest: Digest,
  size: Schema.Int,
  type: Schema.Literals(["soci_index", "soci_layer", "soci_prefetch"]),
  /** Layer digest for ztocs and prefetch artifacts, manifest digest for indexes. */
  originalDigest: Schema.String,
  /** Digest of the image's target; indexes only, else empty. */
  imageDigest: Schema.String,
  /** `os/arch[/variant]`; indexes only, else empty. */
  platform: Schema.String,
  location: Schema.String,
  mediaType: Schema.String,
  artifactType: Schema.String,
  createdAt: Schema.Date,
  /** Bytes; more than 0 for ztocs only. */
  spanSize: Schema.Int
}) {}

export class ArtifactNotFound extends Schema.TaggedError<ArtifactNotFound>()("ArtifactNotFound", {
  digest: Schema.String
}) {
  override get message(): string {
    return `couldn't retrieve artifact for ${this.digest}, not found`
  }
}

/** The row exists and is not that of an index. */
export class NotAnIndex extends Schema.TaggedError<NotAnIndex>()("NotAnIndex", { digest: Schema.String }) {
  override get message(): string {
    return `the digest ${this.digest} does not correspond to an index`
  }
}

export class ArtifactsDbFailed extends Schema.TaggedError<ArtifactsDbFailed>()("ArtifactsDbFailed", {
  operation: Schema.String,
  path: Schema.String,
  reason: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `cannot ${this.operation} the artifacts data base ${this.path}: ${this.reason}`
  }
}

export class ArtifactsDb extends Context.Service<
  ArtifactsDb,
  {
    /** Creates or overwrites the row of the entry's digest. */
    write(entry: ArtifactEntry): Effect.Effect<void, ArtifactsDbFailed>
    get(digest: Digest): Effect.Effect<ArtifactEntry, ArtifactNotFound | ArtifactsDbFailed>
    /** All rows, in byte order of their digests. */
    readonly entries: Stream.Stream<ArtifactEntry, ArtifactsDbFailed>
    /** The rows of one type, in byte order of their digests. */
    entriesOfType(type: ArtifactEntry["type"]): Stream.Stream<ArtifactEntry, ArtifactsDbFailed>
    /** Each index once, as it concerns this image. */
    indexesOfImage(imageDigest: Digest): Effect.Effect<ReadonlyArray<ArtifactEntry>, ArtifactsDbFailed>
    indexesOfManifest(manifestDigest: Digest): Effect.Effect<ReadonlyArray<ArtifactEntry>, ArtifactsDbFailed>
    /** A ztoc of the layer with this span size: the first by its digest. */
    ztocOfLayer(layer: Digest, spanSize: number): Effect.Effect<Option.Option<ArtifactEntry>, ArtifactsDbFailed>
    /** An index that belongs to another image and manifest too, which its row speaks of from now on: conversion makes both anew. */
    moveIndex(
      digest: Digest,
      to: { readonly originalDigest: Digest; readonly imageDigest: Digest }
    ): Effect.Effect<void, ArtifactNotFound | ArtifactsDbFailed>
    removeIndex(digest: Digest): Effect.Effect<void, ArtifactNotFound | NotAnIndex | ArtifactsDbFailed>
    /** Removes a row of any type. */
    remove(digest: Digest): Effect.Effect<void, ArtifactNotFound | ArtifactsDbFailed>
    /** Removes the rows whose content `exists` denies; answers with their digests. */
    removeOld<E, R>(
      exists: (digest: Digest) => Effect.Effect<boolean, E, R>
    ): Effect.Effect<ReadonlyArray<Digest>, ArtifactsDbFailed | E, R>
  }
>()("effect-soci/services/ArtifactsDb") {}

/**
 * Reads files and ranges of a layer straight from its ztoc and its compressed bytes, without mounting or storing anything.
 *
 * No byte comes out that was not verified: each span against its digest before it is inflated, a file's tar header against its
 * entry before its first byte. Only the spans that hold wanted bytes are fetched, each once for each call, in one request; one that
 * is not inflated in time stops the transfer. Memory is that of `concurrency` spans and those that wait for the reader, at most as
 * many again and two, whatever the size of the layer. The end of a stream, early or not, ends all it began.
 */
import { Context, type Effect, Schema, type Stream } from "effect"
import type { InvalidTree } from "./LayerTree.ts"
import type { RemoteBlob } from "./RemoteBlob.ts"
import type { SpanUnavailable } from "./SpanStore.ts"
import type { ByteString, InvalidZtoc, Span, TocEntry, Ztoc } from "./Ztoc.ts"

/** The compressed bytes of a layer: any `RemoteBlob` with the size of its descriptor, or a file. */
export interface LayerBytes extends Pick<RemoteBlob, "location" | "read"> {
  readonly size: number
}

/** The table of contents has no such name, or an entry is not of this ztoc. */
export class FileNotInZtoc extends Schema.TaggedError<FileNotInZtoc>()("FileNotInZtoc", {
  /** As people read it. */
  name: Schema.String,
  /** What was asked for, where links led from it to `name`; else the same. */
  requested: Schema.String
}) {
  override get message(): string {
    const from = this.requested === this.name ? "" : ` (${this.requested} links to it)`
    return `file ${this.name} does not exist in metadata${from}`
  }
}

/** Links lead from one to the next without end. */
export class LinkLoop extends Schema.TaggedError<LinkLoop>()("LinkLoop", {
  name: Schema.String,
  hops: Schema.Int
}) {
  override get message(): string {
    return `file ${this.name} cannot be extracted: its links lead on after ${this.hops} of them`
  }
}

/** The tar headers in front of a file's data are not what the ztoc says of it (ztoc spec, 9.2). */
export class TarHeaderMismatch extends Schema.TaggedError<TarHeaderMismatch>()("TarHeaderMismatch", {
  kind: Schema.Literals(["unreadable", "length", "attributes", "name", "unlisted"]),
  /** Name of the entry as people read it. */
  entry: Schema.String,
  /** Where its headers begin in the uncompressed stream, and how many bytes they have by the ztoc. */
  offset: Schema.Number,
  length: Schema.Number,
  /** What differs, and how. */
  field: Schema.String,
  expected: Schema.String,
  actual: Schema.String
}) {
  override get message(): string {
    const differs = `expected ${this.expected}, actual ${this.actual}`
    const where = `entry "${this.entry}", header at ${this.offset}`
    switch (this.kind) {
      case "unreadable":
        return `error reading tar header at ${this.offset}, size ${this.length}: ${this.actual} (entry "${this.entry}")`
      case "length":
        return `incorrect tar header size: ${differs} (${where})`
      case "name":
        return `file name does not match tar header: ${differs} (${where})`
      case "attributes":
        return `file attributes do not match tar header: ${this.field}: ${differs} (${where})`
      case "unlisted":
        return `the layer has an entry that the ztoc does not list: "${this.entry}" at ${this.offset}`
    }
  }
}

/** More bytes were asked for than are given at once. */
export class TooLargeForMemory extends Schema.TaggedError<TooLargeForMemory>()("TooLargeForMemory", {
  subject: Schema.String,
  size: Schema.Number,
  limit: Schema.Number
}) {
  override get message(): string {
    return `${this.subject} has ${this.size} bytes; at most ${this.limit} are read into memory: read it as a stream`
  }
}

/** Bytes of a file, from its start; to its end where there is no length. What lies behind the end is left out. */
export interface FileRange {
  readonly offset?: number
  readonly length?: number
}

export interface ReadOptions {
  /** Spans that are inflated at the same time; as many as there are cores. */
  readonly concurrency?: number
}

export type ContentError = SpanUnavailable | TarHeaderMismatch | FileNotInZtoc

/** A layer whose ztoc was checked against it. */
export interface ZtocLayer {
  readonly ztoc: Ztoc
  readonly spans: ReadonlyArray<Span>

  /** The first entry of exactly this name; where it has a link name, the entry of that name in turn. Paths are not resolved. */
  find(name: ByteString): Effect.Effect<TocEntry, FileNotInZtoc | LinkLoop>

  /** The content of an entry of this ztoc, its tar header checked first. An entry without data costs nothing. */
  content(entry: TocEntry, range?: FileRange, options?: ReadOptions): Stream.Stream<Uint8Array, ContentError>

  /** The same in memory, at most 1 GiB. */
  contentBytes(
    entry: TocEntry,
    range?: FileRange,
    options?: ReadOptions
  ): Effect.Effect<Uint8Array, ContentError | TooLargeForMemory>

  /** Bytes [offset, offset + length) of the uncompressed archive, less where it ends. No tar header is looked at. */
  range(offset: number, length: number, options?: ReadOptions): Stream.Stream<Uint8Array, SpanUnavailable>

  /** The whole uncompressed archive in order, one chunk for each span, inflated on as many cores as asked for. */
  inflateLayer(options?: ReadOptions): Stream.Stream<Uint8Array, SpanUnavailable>
}

/** What a layer was found to be. */
export interface VerifiedLayer {
  readonly spans: number
  readonly entries: number
}

export class ZtocReader extends Context.Service<
  ZtocReader,
  {
    open(ztoc: Ztoc, layer: LayerBytes): Effect.Effect<ZtocLayer, InvalidZtoc | SpanUnavailable>
    /**
     * Reads the whole layer and holds everything a ztoc says against it: bounds, span digests, what spans inflate to, the windows of
     * checkpoints, every tar header, and that no entry is missing. Fails with the first finding.
     */
    verify(
      ztoc: Ztoc,
      layer: LayerBytes,
      options?: ReadOptions
    ): Effect.Effect<VerifiedLayer, InvalidZtoc | InvalidTree | SpanUnavailable | TarHeaderMismatch>
  }
>()("effect-soci/services/ZtocReader") {}

/**
 * Talks to OCI registries (distribution-spec 1.1).
 *
 * Everything returned was checked against a digest, except the ranges of a `RemoteBlob`. An upload is complete or not
 * there. Credentials appear in no error and no log. Every call ends within its deadline and can be interrupted.
 */
import { Context, type Effect, Schema, type Scope, type Stream } from "effect"
import type { ContentMismatch, Descriptor, Digest } from "./Descriptor.ts"
import type { RegistryReference } from "./ImageName.ts"
import type { RemoteBlob } from "./RemoteBlob.ts"

/** A repository of a registry: where blobs and manifests live. */
export type Repository = Pick<RegistryReference, "host" | "repository">

export const formatRepository = ({ host, repository }: Repository): string => `${host}/${repository}`

const operations = ["resolve", "fetch", "open", "exists", "push", "referrers"] as const

/** Operations as errors name them. */
const words: Readonly<Record<(typeof operations)[number], string>> = {
  resolve: "resolve",
  fetch: "fetch",
  open: "open",
  exists: "look for",
  push: "push",
  referrers: "list the referrers of"
}

/** The registry does not have it. */
export class NotInRegistry extends Schema.TaggedError<NotInRegistry>()("NotInRegistry", {
  repository: Schema.String,
  /** A tag or a digest. */
  reference: Schema.String,
  /** What mirrors answered that were asked before. */
  before: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return `${this.repository} has no ${this.reference}${this.before === undefined ? "" : ` (before: ${this.before})`}`
  }
}

/** The registry asks for credentials, or refuses those it got. */
export class RegistryUnauthorized extends Schema.TaggedError<RegistryUnauthorized>()("RegistryUnauthorized", {
  operation: Schema.Literals(operations),
  repository: Schema.String,
  status: Schema.Int,
  reason: Schema.String
}) {
  override get message(): string {
    return (
      `${this.repository} refused to ${words[this.operation].replace(" of", "")} (status ${this.status}): ${this.reason}. ` +
      `Log in with docker login, or give --user`
    )
  }
}

/** The registry answered with an unexpected status, or could not be reached, after all retries. */
export class RegistryFailed extends Schema.TaggedError<RegistryFailed>()("RegistryFailed", {
  operation: Schema.Literals(operations),
  repository: Schema.String,
  reference: Schema.String,
  reason: Schema.String,
  status: Schema.optionalKey(Schema.Int),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `cannot ${words[this.operation]} ${this.reference} at ${this.repository}: ${this.reason}`
  }
}

export type RegistryError = NotInRegistry | RegistryUnauthorized | RegistryFailed

/** "mounted": the registry took it from another of its repositories. */
export type PushOutcome = "pushed" | "present" | "mounted"

export interface BlobPushOptions {
  /** A repository of the same host that may have the blob: then nothing is uploaded. */
  readonly mountFrom?: string
  /** Runs when it is known that the registry does not have the blob, before it is mounted or uploaded. */
  readonly onMissing?: Effect.Effect<void>
  /** The content fails by itself unless it is the descriptor's: it is not hashed here again. */
  readonly verified?: boolean
}

export class RegistryFetcher extends Context.Service<
  RegistryFetcher,
  {
    /** The descriptor a reference stands for. A digest in the reference wins over its tag and is checked. */
    resolve(reference: RegistryReference): Effect.Effect<Descriptor, RegistryError>

    /** A manifest or index by descriptor: at most 4 MiB, verified. */
    fetchManifest(
      repository: Repository,
      descriptor: Descriptor
    ): Effect.Effect<Uint8Array, RegistryError | ContentMismatch>

    /** A whole blob, in order; fails at its end unless size and digest are those of the descriptor. */
    fetch(repository: Repository, descriptor: Descriptor): Stream.Stream<Uint8Array, RegistryError | ContentMismatch>

    /** Opens a blob for ranged reads: finds the URL that serves it, and keeps it fresh. */
    open(repository: Repository, descriptor: Descriptor): Effect.Effect<RemoteBlob, RegistryError, Scope.Scope>

    /** Whether it is where a push would bring it; mirrors are not asked. */
    exists(repository: Repository, descriptor: Descriptor): Effect.Effect<boolean, RegistryError>

    /**
     * Uploads a blob unless the registry has it. `content` may be run again when an upload is retried. Of pushes of the
     * same blob to the same place at the same time, one uploads it; the others wait.
     */
    push<E>(
      repository: Repository,
      descriptor: Descriptor,
      content: Stream.Stream<Uint8Array, E>,
      options?: BlobPushOptions
    ): Effect.Effect<PushOutcome, RegistryError | E>

    /**
     * Uploads a manifest or index under its digest or a tag. A manifest with a subject is entered into the referrers
     * tag (distribution-spec, "Referrers Tag Schema") where the registry has no referrers API.
     */
    pushManifest(
      repository: Repository,
      descriptor: Descriptor,
      bytes: Uint8Array,
      tag?: string
    ): Effect.Effect<void, RegistryError>

    /** All referrers of a manifest, filtered by artifact type; by the referrers API or the tag scheme. */
    referrers(
      repository: Repository,
      subject: Digest,
      artifactType: string
    ): Effect.Effect<ReadonlyArray<Descriptor>, RegistryError>
  }
>()("effect-soci/services/RegistryFetcher") {}

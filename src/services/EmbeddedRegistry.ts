/**
 * An OCI registry inside this process (distribution-spec 1.1), serving a content store on a port of the loopback address: for
 * demonstrations, tests, and handing images to tools that speak to registries only.
 *
 * A repository is a name space of tags: the tag `v1` of `team/app` is the tag `team/app:v1` of the store. Blobs are shared by all
 * repositories. Anybody on this machine may read and write; nothing is deleted. It serves as long as its scope is open.
 */
import { Context, type Effect, Schema } from "effect"

/** The server cannot listen. */
export class EmbeddedRegistryFailed extends Schema.TaggedError<EmbeddedRegistryFailed>()("EmbeddedRegistryFailed", {
  address: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `the embedded registry cannot listen on ${this.address}`
  }
}

/** What was served since the start. */
export interface RegistryTraffic {
  readonly connections: number
  readonly requests: number
  /** Requests for a part of a blob. */
  readonly rangeRequests: number
  /** Bytes of blobs that were handed to the network, whole and in parts. */
  readonly blobBytesServed: number
  /** Bytes of manifests and indexes. */
  readonly documentBytesServed: number
  readonly bytesReceived: number
}

export class EmbeddedRegistry extends Context.Service<
  EmbeddedRegistry,
  {
    /** `127.0.0.1:port`, as it stands in image names. */
    readonly host: string
    readonly stats: Effect.Effect<RegistryTraffic>
  }
>()("effect-soci/services/EmbeddedRegistry") {}

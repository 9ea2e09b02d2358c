/**
 * Uploads a graph of content: a manifest or index with everything below it, children before parents, so that a registry never holds a
 * manifest whose content is missing. What the registry has is skipped. One failure ends the other uploads; a second run goes on where the
 * first one stopped.
 */
import { Context, type Effect } from "effect"
import type { Descriptor } from "./Descriptor.ts"
import type { ImageSourceError, SourceImage } from "./ImageSource.ts"
import type { RegistryError, Repository } from "./RegistryFetcher.ts"

export type PushEvent =
  | { readonly _tag: "Skipped"; readonly descriptor: Descriptor }
  | { readonly _tag: "Pushing"; readonly descriptor: Descriptor }
  | { readonly _tag: "Pushed"; readonly descriptor: Descriptor }

/** Where the content of a graph is read, verified: an image found somewhere, or the store that holds what was built. */
export type GraphContent = Pick<SourceImage, "readDocument" | "readBlob">

export interface PushOptions {
  /** Uploads at the same time; 3 as in the reference. */
  readonly concurrency: number
  readonly tag?: string
  /** A repository of the same host that may have the blobs: what it has is not uploaded. */
  readonly mountFrom?: string
  readonly onEvent?: (event: PushEvent) => Effect.Effect<void>
}

export class GraphPusher extends Context.Service<
  GraphPusher,
  {
    push(
      content: GraphContent,
      root: Descriptor,
      repository: Repository,
      options: PushOptions
    ): Effect.Effect<void, RegistryError | ImageSourceError>
  }
>()("effect-soci/services/GraphPusher") {}

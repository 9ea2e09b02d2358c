/**
 * The images of containerd: names that point into its `ContentStore` and keep what they point to (containerd's images service). All names are
 * those of one namespace.
 */
import { Context, type Effect, Schema } from "effect"
import type { Descriptor } from "./Descriptor.ts"

export interface StoredImage {
  /** As containerd keeps it, such as `registry.example.com/app:v1`. */
  readonly name: string
  readonly target: Descriptor
  readonly labels: Readonly<Record<string, string>>
}

export class ImageNotFound extends Schema.TaggedError<ImageNotFound>()("ImageNotFound", { name: Schema.String }) {
  override get message(): string {
    return `image "${this.name}": not found`
  }
}

/** containerd could not be reached, or refused. */
export class ImageStoreFailed extends Schema.TaggedError<ImageStoreFailed>()("ImageStoreFailed", {
  operation: Schema.Literals(["get", "list", "put", "label", "delete"]),
  /** The socket. */
  store: Schema.String,
  image: Schema.String,
  reason: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `cannot ${this.operation} ${this.image} in ${this.store}: ${this.reason}`
  }
}

export class ImageStore extends Context.Service<
  ImageStore,
  {
    get(name: string): Effect.Effect<StoredImage, ImageNotFound | ImageStoreFailed>
    /** All images of the namespace, in byte order of their names. */
    readonly images: Effect.Effect<ReadonlyArray<StoredImage>, ImageStoreFailed>
    /** Creates the image, or points the one of this name to another target; labels that are not given stay. */
    put(image: StoredImage): Effect.Effect<void, ImageStoreFailed>
    /** Sets single labels; an empty value takes a label away. */
    label(name: string, labels: Readonly<Record<string, string>>): Effect.Effect<void, ImageNotFound | ImageStoreFailed>
    /** With `synchronous`, what it alone kept has been collected when this returns. */
    delete(
      name: string,
      options?: { readonly synchronous?: boolean }
    ): Effect.Effect<void, ImageNotFound | ImageStoreFailed>
  }
>()("effect-soci/services/ImageStore") {}

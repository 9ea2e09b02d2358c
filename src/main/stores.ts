/**
 * The stores that commands work on, as the global flags say: containerd's images and content, the content store for artifacts, the artifacts
 * data base. Each is open as long as the scope.
 */
import { Context, Effect, Layer } from "effect"
import * as path from "node:path"
import * as ContainerdConnection from "../layers/containerd/ContainerdConnection.ts"
import { storedImage } from "../layers/containerd/storedImage.ts"
import * as ContentStoreContainerd from "../layers/ContentStoreContainerd.ts"
import * as ContentStoreLayout from "../layers/ContentStoreLayout.ts"
import * as ImageStoreContainerd from "../layers/ImageStoreContainerd.ts"
import { ArtifactsDb } from "../services/ArtifactsDb.ts"
import { ContentStore } from "../services/ContentStore.ts"
import { ImageStore } from "../services/ImageStore.ts"
import { artifactsDbIn } from "./artifactsDb.ts"
import { Address, contentStoreKind, Namespace, Root, Timeout } from "./cli/globalFlags.ts"

/** containerd's images and content, over one connection that is made with the first call. */
export const openContainerd = Effect.gen(function* () {
  const connection = ContainerdConnection.layer({
    address: yield* Address,
    namespace: yield* Namespace,
    timeout: yield* Timeout
  })
  const services = yield* Layer.build(
    Layer.mergeAll(ImageStoreContainerd.layerConnected, ContentStoreContainerd.layerConnected).pipe(
      Layer.provide(connection)
    )
  )
  return {
    images: Context.get(services, ImageStore),
    content: Context.get(services, ContentStore),
    find: (name: string) => Effect.provide(storedImage(name), services)
  }
})

export type Containerd = Effect.Success<typeof openContainerd>

/** The soci store, in the directory where the reference has it. */
export const openLayout = Effect.flatMap(Root, (root) =>
  Effect.map(Layer.build(ContentStoreLayout.layer({ root: path.join(root, "content") })), (built) =>
    Context.get(built, ContentStore)
  )
)

/** The store that `--content-store` names. */
export const openContentStore = Effect.fnUntraced(function* ({ content }: Pick<Containerd, "content">) {
  const kind = yield* contentStoreKind
  return { kind, store: kind === "soci" ? yield* openLayout : content }
})

export const openArtifactsDb = Effect.flatMap(Root, (root) =>
  Effect.map(Layer.build(artifactsDbIn(root)), (built) => Context.get(built, ArtifactsDb))
)

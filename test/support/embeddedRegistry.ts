/**
 * Registries for tests: the embedded one, over a layout in a directory of its own or of another registry.
 */
import { Context, Effect, Layer } from "effect"
import * as ContentStoreLayout from "../../src/layers/ContentStoreLayout.ts"
import * as EmbeddedRegistryLayer from "../../src/layers/EmbeddedRegistry.ts"
import { ContentStore } from "../../src/services/ContentStore.ts"
import { EmbeddedRegistry } from "../../src/services/EmbeddedRegistry.ts"
import { temporaryDirectory } from "./temporaryDirectory.ts"

export const embeddedRegistry = Effect.fnUntraced(function* (
  options: EmbeddedRegistryLayer.EmbeddedRegistryOptions = {}
) {
  const root = yield* temporaryDirectory
  const store = ContentStoreLayout.layer({ root })
  const context = yield* Layer.build(EmbeddedRegistryLayer.layer(options).pipe(Layer.provideMerge(store)))
  return { root, store: Context.get(context, ContentStore), ...Context.get(context, EmbeddedRegistry) }
})

/** Another registry with the same content. */
export const embeddedRegistryOver = Effect.fnUntraced(function* (
  store: ContentStore["Service"],
  options: EmbeddedRegistryLayer.EmbeddedRegistryOptions = {}
) {
  const provided = Layer.provide(EmbeddedRegistryLayer.layer(options), Layer.succeed(ContentStore, store))
  return Context.get(yield* Layer.build(provided), EmbeddedRegistry)
})

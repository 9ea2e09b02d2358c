/**
 * A process that begins to ingest a blob, says so, and never ends: `ingestForever.ts ROOT`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Stream } from "effect"
import * as ContentStoreLayout from "../../src/layers/ContentStoreLayout.ts"
import { ContentStore } from "../../src/services/ContentStore.ts"
import { chunked, descriptorOf, noise } from "./content.ts"

const [root = ""] = process.argv.slice(2)
const content = noise(1000)
const endless = chunked(content.subarray(0, 500), 100).pipe(
  Stream.concat(Stream.fromEffectDrain(Effect.sync(() => process.stdout.write("writing\n")))),
  Stream.concat(Stream.never)
)

// What keeps a process alive in real use is its socket; here, standard output alone would not.
const waiting = Effect.andThen(Effect.sleep("1 hour"), Effect.die("nobody ended this process"))

ContentStore.use((store) => Effect.raceFirst(store.ingest(descriptorOf(content), endless), waiting)).pipe(
  Effect.provide(ContentStoreLayout.layer({ root })),
  NodeRuntime.runMain
)

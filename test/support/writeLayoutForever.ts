/**
 * Ingests, tags, moves, untags and deletes in a layout, again and again, and says what it has done: `writeLayoutForever.ts ROOT PREFIX [ROUNDS]`.
 *
 * `tagging TAG DIGEST` stands in front of what it is about to do, `tagged TAG DIGEST` behind; so do `removing TAG` and `removed TAG`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { writeSync } from "node:fs"
import * as ContentStoreLayout from "../../src/layers/ContentStoreLayout.ts"
import { noise } from "./content.ts"
import { config, content, manifest, pushAll } from "./layoutStore.ts"
import { MediaType } from "../../src/services/MediaType.ts"

const [root = "", prefix = "", rounds = "Infinity"] = process.argv.slice(2)

/** Straight to the pipe: what is killed in the next instant has said it. */
const say = (...words: ReadonlyArray<string>) => Effect.sync(() => void writeSync(1, `${words.join(" ")}\n`))

const seedOf = (text: string) => [...text].reduce((seed, letter) => seed * 31 + letter.charCodeAt(0), 7)

Effect.gen(function* () {
  const store = yield* ContentStoreLayout.open({ root })
  for (let i = 0; i < Number(rounds); i++) {
    const own = content(MediaType.ociLayer, noise(20_000, seedOf(`${prefix}${i}`)))
    const image = manifest([own], undefined, `${prefix}${i}`)
    const tag = `${prefix}${i % 4}`
    yield* pushAll(store, [config, own, image])
    yield* say("tagging", tag, image.descriptor.digest)
    yield* store.tag(image.descriptor, tag)
    yield* say("tagged", tag, image.descriptor.digest)
    if (i % 3 !== 2) continue
    yield* say("removing", tag)
    yield* store.untag(tag)
    yield* store.delete(image.descriptor)
    yield* say("removed", tag)
  }
}).pipe(NodeRuntime.runMain)

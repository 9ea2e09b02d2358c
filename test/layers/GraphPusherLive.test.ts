import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Stream } from "effect"
import * as GraphPusherLive from "../../src/layers/GraphPusherLive.ts"
import type { Descriptor } from "../../src/services/Descriptor.ts"
import { type GraphContent, GraphPusher, type PushEvent } from "../../src/services/GraphPusher.ts"
import { MalformedDocument } from "../../src/services/Image.ts"
import { MediaType } from "../../src/services/MediaType.ts"
import { RegistryFetcher } from "../../src/services/RegistryFetcher.ts"
import { in1 } from "../support/blobServer.ts"
import { chunked, descriptorOf, json, noise } from "../support/content.ts"
import { embeddedRegistry } from "../support/embeddedRegistry.ts"
import { registryFetcher } from "../support/registryFetcher.ts"

const config = json({})
const layers = [1, 2, 3].map((seed) => noise(200_000, seed))
const layerOf = (bytes: Uint8Array) => descriptorOf(bytes, MediaType.ociLayerGzip)

const manifestOf = (...contents: ReadonlyArray<Uint8Array>) =>
  json({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config: descriptorOf(config, MediaType.ociConfig),
    layers: contents.map(layerOf)
  })

/** Two manifests with a layer in common. */
const manifests = [manifestOf(...layers.slice(0, 2)), manifestOf(...layers.slice(1))]
const index = json({
  schemaVersion: 2,
  mediaType: MediaType.ociIndex,
  manifests: manifests.map((bytes) => descriptorOf(bytes, MediaType.ociManifest))
})
const root = descriptorOf(index, MediaType.ociIndex)
const all = new Map([index, ...manifests, config, ...layers].map((bytes) => [descriptorOf(bytes).digest, bytes]))

const bytesFor = ({ digest }: Descriptor): Uint8Array => all.get(digest) ?? assert.fail(`${digest} is no part of it`)

const content: GraphContent = {
  readDocument: (descriptor) => Effect.sync(() => bytesFor(descriptor)),
  readBlob: (descriptor) => chunked(bytesFor(descriptor), 50_000)
}

/** A pusher, and what it tells while it works. */
const pusher = Effect.gen(function* () {
  const fetcher = yield* registryFetcher({ retries: 0 })
  const built = yield* Layer.build(Layer.provide(GraphPusherLive.layer, Layer.succeed(RegistryFetcher, fetcher)))
  const events: Array<string> = []
  const onEvent = ({ _tag, descriptor }: PushEvent) =>
    Effect.sync(() => void events.push(`${_tag} ${descriptor.digest.slice(7, 15)}`))
  const push = (host: string, from: GraphContent = content, tag?: string) =>
    Context.get(built, GraphPusher).push(from, root, in1(host), {
      concurrency: 3,
      onEvent,
      ...(tag === undefined ? {} : { tag })
    })
  return { push, events, fetcher }
})

const count = (events: ReadonlyArray<string>, tag: string) => events.filter((event) => event.startsWith(tag)).length

describe("GraphPusherLive", () => {
  it.live("uploads each node once, children before parents, and tags the root last", () =>
    Effect.gen(function* () {
      const { host, store, stats } = yield* embeddedRegistry()
      const { push, events, fetcher } = yield* pusher
      yield* push(host, content, "v1")
      assert.deepStrictEqual([count(events, "Pushing"), count(events, "Pushed"), count(events, "Skipped")], [7, 7, 0])
      assert.deepStrictEqual(
        events.slice(-6).filter((event) => event.startsWith("Pushed")),
        [...manifests, index].map((bytes) => `Pushed ${descriptorOf(bytes).digest.slice(7, 15)}`)
      )
      for (const digest of all.keys()) assert.isTrue(yield* store.exists(digest))
      const reference = { _tag: "Registry", ...in1(host), tag: "v1", digest: undefined } as const
      assert.strictEqual((yield* fetcher.resolve(reference)).digest, root.digest)
      const blobs = layers.reduce((sum, { length }) => sum + length, 0)
      assert.isBelow((yield* stats).bytesReceived, blobs + 10_000)
    })
  )

  it.live("does not look below what the registry has", () =>
    Effect.gen(function* () {
      const { host, stats } = yield* embeddedRegistry()
      const { push, events } = yield* pusher
      yield* push(host)
      const before = (yield* stats).requests
      events.length = 0
      yield* push(host, { readDocument: () => Effect.die("read"), readBlob: () => Stream.die("read") })
      assert.deepStrictEqual(events, [`Skipped ${root.digest.slice(7, 15)}`])
      assert.strictEqual((yield* stats).requests, before + 1)
    })
  )

  it.live("ends the other uploads when one fails, and goes on where it stopped when it runs again", () =>
    Effect.gen(function* () {
      const { host, store } = yield* embeddedRegistry()
      const { push, events } = yield* pusher
      const [, second, third] = layers.map((bytes) => descriptorOf(bytes).digest)
      const ended = yield* Deferred.make<void>()
      const waiting = yield* Deferred.make<void>()
      const stuck = Stream.concat(
        Stream.make(new Uint8Array(1)),
        Stream.fromEffect(Effect.andThen(Deferred.succeed(waiting, undefined), Effect.never))
      ).pipe(Stream.ensuring(Deferred.succeed(ended, undefined)))
      const failure = new MalformedDocument({ document: "a layer", reason: "it is broken" })
      const broken: GraphContent = {
        ...content,
        readBlob: (descriptor) => {
          if (descriptor.digest === second) return stuck
          return descriptor.digest === third
            ? Stream.fromEffect(Effect.andThen(Deferred.await(waiting), Effect.fail(failure)))
            : content.readBlob(descriptor)
        }
      }
      assert.strictEqual(yield* Effect.flip(push(host, broken, "v1")), failure)
      yield* Effect.timeout(Deferred.await(ended), "20 seconds")
      assert.isFalse(yield* store.exists(root.digest))

      events.length = 0
      yield* push(host, content, "v1")
      assert.isTrue(yield* store.exists(root.digest))
      assert.isAbove(count(events, "Skipped"), 0)
      assert.isBelow(count(events, "Pushed"), 7)
    })
  )

  it.live("leaves nothing tagged when it is interrupted", () =>
    Effect.gen(function* () {
      const { host, store } = yield* embeddedRegistry()
      const { push } = yield* pusher
      const reading = yield* Deferred.make<void>()
      const endless: GraphContent = {
        ...content,
        readBlob: () => Stream.fromEffect(Effect.andThen(Deferred.succeed(reading, undefined), Effect.never))
      }
      const pushing = yield* Effect.forkChild(push(host, endless, "v1"))
      yield* Deferred.await(reading)
      yield* Effect.timeout(Fiber.interrupt(pushing), "20 seconds")
      assert.deepStrictEqual(yield* store.tags, [])
      assert.isFalse(yield* store.exists(root.digest))
    })
  )

  it.live("refuses graphs that are nested without end", () =>
    Effect.gen(function* () {
      const { host } = yield* embeddedRegistry()
      const { push } = yield* pusher
      let depth = 0
      const endless: GraphContent = {
        ...content,
        readDocument: () =>
          Effect.sync(() => {
            const child = { ...descriptorOf(noise(10, ++depth), MediaType.ociIndex) }
            return json({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [child] })
          })
      }
      const error = yield* Effect.flip(push(host, endless))
      assert.include(error.message, "nested more than 8 deep")
    })
  )
})

import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Stream } from "effect"
import { resolvePlatform } from "../../src/layers/resolvePlatform.ts"
import { ContentNotFound } from "../../src/services/ContentStore.ts"
import type { Descriptor, Platform } from "../../src/services/Descriptor.ts"
import { parseImageName } from "../../src/services/ImageName.ts"
import type { SourceImage } from "../../src/services/ImageSource.ts"
import { MediaType } from "../../src/services/MediaType.ts"
import { descriptorOf, json } from "../support/content.ts"

const amd64: Platform = { os: "linux", architecture: "amd64" }
const arm64: Platform = { os: "linux", architecture: "arm64" }

interface Document {
  readonly descriptor: Descriptor
  readonly bytes: Uint8Array
}

const manifest = (name: string): Document => {
  const config = descriptorOf(json({}), MediaType.ociConfig)
  const bytes = json({ schemaVersion: 2, mediaType: MediaType.ociManifest, config, layers: [], annotations: { name } })
  return { bytes, descriptor: descriptorOf(bytes, MediaType.ociManifest) }
}

const index = (...manifests: ReadonlyArray<Descriptor>): Document => {
  const bytes = json({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests })
  return { bytes, descriptor: descriptorOf(bytes, MediaType.ociIndex) }
}

const missing = (reference: string) => new ContentNotFound({ store: "memory", reference })

/** An image of documents in memory; nothing else is needed of it here. */
const imageOf = (target: Document | Descriptor, ...documents: ReadonlyArray<Document>): SourceImage => {
  const all = "bytes" in target ? [target, ...documents] : documents
  return {
    name: Result.getOrThrow(parseImageName("registry.test/app:v1")),
    target: "bytes" in target ? target.descriptor : target,
    resolveDigest: (digest) => Effect.fail(missing(digest)),
    readDocument: ({ digest }) => {
      const found = all.find(({ descriptor }) => descriptor.digest === digest)
      return found === undefined ? Effect.fail(missing(digest)) : Effect.succeed(found.bytes)
    },
    readBlob: ({ digest }) => Stream.fail(missing(digest)),
    openBlob: ({ digest }) => Effect.fail(missing(digest)),
    referrers: () => Effect.succeed([])
  }
}

const [one, two] = [manifest("1"), manifest("2")]
const on = (platform: Platform, { descriptor }: Document): Descriptor => ({ ...descriptor, platform })

describe("resolvePlatform", () => {
  it.effect("takes of an index the first child for the platform, however it is spelled", () =>
    Effect.gen(function* () {
      const spelled = on({ os: "Linux", architecture: "aarch64", variant: "v8" }, two)
      const image = imageOf(index(on(amd64, one), spelled, on(arm64, one)), one, two)
      const found = yield* resolvePlatform(image, arm64)
      assert.deepStrictEqual(found.descriptor, spelled)
      assert.deepStrictEqual(found.manifest.annotations, { name: "2" })
    })
  )

  it.effect("says which platforms there are when it is not among them", () =>
    Effect.gen(function* () {
      const unknown = on({ os: "unknown", architecture: "unknown" }, two)
      const image = imageOf(index(on(amd64, one), on(amd64, two), unknown), one, two)
      const error = yield* Effect.flip(resolvePlatform(image, arm64))
      assert.strictEqual(error.message, "registry.test/app:v1 has no manifest for linux/arm64; it has linux/amd64")
    })
  )

  it.effect("passes over the SOCI indexes of a converted image", () =>
    Effect.gen(function* () {
      const soci = { ...on(amd64, two), artifactType: MediaType.sociIndexV2 }
      const found = yield* resolvePlatform(imageOf(index(soci, on(amd64, one)), one, two), amd64)
      assert.strictEqual(found.descriptor.digest, one.descriptor.digest)
    })
  )

  it.effect("stumbles over a child without a platform only before the one it looks for", () =>
    Effect.gen(function* () {
      const after = imageOf(index(on(amd64, one), two.descriptor), one, two)
      assert.strictEqual((yield* resolvePlatform(after, amd64)).descriptor.digest, one.descriptor.digest)
      const before = imageOf(index(two.descriptor, on(amd64, one)), one, two)
      const error = yield* Effect.flip(resolvePlatform(before, amd64))
      assert.include(error.message, "manifest should have proper platform")
    })
  )

  it.effect("takes a single manifest for any platform, unless its descriptor says another", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* resolvePlatform(imageOf(one), arm64)).descriptor, one.descriptor)
      const error = yield* Effect.flip(resolvePlatform(imageOf(on(amd64, one), one), arm64))
      assert.strictEqual(error._tag, "PlatformNotInImage")
    })
  )

  it.effect("looks into an index that is a child, but not for ever", () =>
    Effect.gen(function* () {
      const inner = index(on(amd64, one))
      const outer = index(on(amd64, inner))
      assert.strictEqual(
        (yield* resolvePlatform(imageOf(outer, inner, one), amd64)).descriptor.digest,
        one.descriptor.digest
      )
      const [third, fourth] = [index(on(amd64, outer)), index(on(amd64, index(on(amd64, outer))))]
      const error = yield* Effect.flip(resolvePlatform(imageOf(fourth, third, outer, inner, one), amd64))
      assert.include(error.message, "nested more than 3 deep")
    })
  )

  it.effect("refuses what is neither manifest nor index", () =>
    Effect.gen(function* () {
      const image = imageOf({ ...one.descriptor, mediaType: "application/octet-stream" }, one)
      const error = yield* Effect.flip(resolvePlatform(image, amd64))
      assert.include(error.message, "unexpected media type application/octet-stream")
    })
  )
})

import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Result } from "effect"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as ContentStoreLayout from "../../src/layers/ContentStoreLayout.ts"
import { hostPlatform } from "../../src/layers/hostPlatform.ts"
import * as ImageSourceLive from "../../src/layers/ImageSourceLive.ts"
import * as IndexBuilderLive from "../../src/layers/IndexBuilderLive.ts"
import * as RegistryFetcherHttp from "../../src/layers/RegistryFetcherHttp.ts"
import { resolvePlatform } from "../../src/layers/resolvePlatform.ts"
import * as ZtocBuilderWorkers from "../../src/layers/ZtocBuilderWorkers.ts"
import { ContentStore } from "../../src/services/ContentStore.ts"
import type { Platform } from "../../src/services/Descriptor.ts"
import { ImageSource } from "../../src/services/ImageSource.ts"
import { IndexBuilder, type IndexBuildOptions } from "../../src/services/IndexBuilder.ts"
import { isIndexType } from "../../src/services/MediaType.ts"
import { defaultBuildToolIdentifier, defaultMinLayerSize, defaultSpanSize } from "../../src/services/ZtocBuilder.ts"
import { decodeImageIndex } from "../../src/streams/codec/imageDocuments.ts"
import { parsePlatform } from "../../src/streams/codec/platform.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

interface Run {
  readonly args: ReadonlyArray<string>
  readonly exitCode: number
  readonly stderr?: string
  readonly indexJson?: string
  readonly sociIndexes?: ReadonlyArray<{ readonly digest: string; readonly platform: string }>
}

interface Case {
  readonly convert?: ReadonlyArray<Run>
  readonly create?: ReadonlyArray<Run>
}

const fileOf = (name: string) => fileURLToPath(new URL(`../vectors/index/${name}`, import.meta.url))
const caseOf = (name: string): Case => JSON.parse(readFileSync(fileOf(`${name}/case.json`), "utf8"))

const valuesOf = (args: ReadonlyArray<string>, flag: string) =>
  args.flatMap((arg, i) => (arg === flag ? [args[i + 1] ?? ""] : []))

const optionsOf = ({ args }: Run): IndexBuildOptions => ({
  spanSize: Number(valuesOf(args, "--span-size")[0] ?? defaultSpanSize),
  minLayerSize: Number(valuesOf(args, "--min-layer-size")[0] ?? defaultMinLayerSize),
  buildToolIdentifier: defaultBuildToolIdentifier,
  xattrOptimization: args.includes("--optimizations")
})

const platform = (text: string): Platform => Result.getOrThrow(parsePlatform(text, hostPlatform))

/** A builder that writes into a store of its own. */
const builder = Effect.gen(function* () {
  const store = ContentStoreLayout.layer({ root: yield* temporaryDirectory })
  const context = yield* Layer.build(
    Layer.mergeAll(IndexBuilderLive.layer, ImageSourceLive.layer).pipe(
      Layer.provideMerge(store),
      Layer.provide([ZtocBuilderWorkers.layer, RegistryFetcherHttp.layer()])
    )
  )
  const find = (name: string) =>
    Context.get(context, ImageSource).find({
      _tag: "Layout",
      path: fileOf(`${name}/input`),
      tag: undefined,
      digest: undefined
    })
  return { ...Context.get(context, IndexBuilder), store: Context.get(context, ContentStore), find }
})

const platformsOf = Effect.fnUntraced(function* (
  image: Effect.Success<ReturnType<ImageSource["Service"]["find"]>>,
  { args }: Run
) {
  const given = [...valuesOf(args, "-p"), ...valuesOf(args, "--platform")]
  if (given.length > 0) return given.map(platform)
  if (!args.includes("--all-platforms") || !isIndexType(image.target.mediaType)) return [platform("linux/amd64")]
  const index = yield* Effect.fromResult(decodeImageIndex(yield* image.readDocument(image.target)))
  return (index.manifests ?? []).flatMap(({ platform: own }) =>
    own === undefined || own.os === "unknown" || own.architecture === "unknown" ? [] : [own]
  )
})

/** The reference rewrites attestations, which we leave as they are: these conversions differ on purpose. */
const rewritesAttestations = new Set(["multi-attestation", "reconvert"])

const cases = [
  "oci-single",
  "docker-single",
  "default-span",
  "docker-list",
  "duplicate-layers",
  "compressions",
  "min-layer-size",
  "xattr-optimization",
  "multi-attestation",
  "reconvert"
]

describe("an index", () => {
  for (const name of cases) {
    for (const run of caseOf(name).create ?? []) {
      if (run.args.includes("unknown/unknown")) continue

      it.live(`is the reference's, byte for byte (v1): ${name} ${run.args.join(" ")}`, () =>
        Effect.gen(function* () {
          const { build, find } = yield* builder
          const image = yield* find(name)
          const digests: Array<string> = []
          for (const wanted of yield* platformsOf(image, run)) {
            const manifest = yield* resolvePlatform(image, wanted)
            const built = yield* Effect.result(build(image, { ...manifest, platform: wanted }, "v1", optionsOf(run)))
            if (Result.isSuccess(built)) digests.push(built.success.descriptor.digest)
            else assert.strictEqual(built.failure._tag, "EmptyIndex")
          }
          assert.deepStrictEqual(digests.toSorted(), (run.sociIndexes ?? []).map(({ digest }) => digest).toSorted())
        })
      )
    }

    for (const run of caseOf(name).convert ?? []) {
      if (rewritesAttestations.has(name)) continue

      it.live(`is found in the reference's converted image (v2): ${name} ${run.args.join(" ")}`, () =>
        Effect.gen(function* () {
          const { convert, find } = yield* builder
          const image = yield* find(name)
          const converted = yield* Effect.result(convert(image, yield* platformsOf(image, run), optionsOf(run)))
          if (run.exitCode !== 0) {
            assert.isTrue(Result.isFailure(converted))
            return
          }
          const expected: { readonly manifests: ReadonlyArray<{ readonly digest: string }> } = JSON.parse(
            run.indexJson ?? ""
          )
          const digest = Result.isSuccess(converted) ? converted.success.descriptor.digest : converted.failure.message
          assert.strictEqual(digest, expected.manifests[0]?.digest)
        })
      )
    }
  }
})

describe("a conversion", () => {
  it.live("leaves attestations as they are, and what was converted before in its place", () =>
    Effect.gen(function* () {
      const { convert, find, store } = yield* builder
      const image = yield* find("multi-attestation")
      const options = optionsOf({ args: ["--min-layer-size", "0"], exitCode: 0 })
      const platforms = [platform("linux/amd64"), platform("linux/arm64")]
      const first = yield* convert(image, platforms, options)
      const original = yield* Effect.fromResult(decodeImageIndex(yield* image.readDocument(image.target)))
      const index = yield* Effect.fromResult(decodeImageIndex(yield* store.readDocument(first.descriptor)))
      const attestations = (manifests: typeof index.manifests) =>
        (manifests ?? []).filter(({ platform: own }) => own?.os === "unknown")
      assert.isNotEmpty(attestations(index.manifests))
      assert.deepStrictEqual(attestations(index.manifests), attestations(original.manifests))

      const over = {
        ...image,
        target: first.descriptor,
        readDocument: (descriptor: typeof first.descriptor) =>
          Effect.flatMap(store.exists(descriptor.digest), (built) =>
            built ? store.readDocument(descriptor) : image.readDocument(descriptor)
          )
      }
      const again = yield* convert(over, platforms, options)
      assert.strictEqual(again.descriptor.digest, first.descriptor.digest)
      const partly = yield* convert(over, [platform("linux/amd64")], options)
      assert.strictEqual(partly.descriptor.digest, first.descriptor.digest)
    })
  )
})

import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Result, Stream } from "effect"
import { readdirSync, rmSync } from "node:fs"
import * as path from "node:path"
import * as ArtifactsDbSqlite from "../../src/layers/ArtifactsDbSqlite.ts"
import * as ContentStoreLayout from "../../src/layers/ContentStoreLayout.ts"
import { hostPlatform } from "../../src/layers/hostPlatform.ts"
import * as ImageSourceLive from "../../src/layers/ImageSourceLive.ts"
import * as IndexBuilderLive from "../../src/layers/IndexBuilderLive.ts"
import { RegistryFetcher } from "../../src/services/RegistryFetcher.ts"
import { resolvePlatform } from "../../src/layers/resolvePlatform.ts"
import * as ZtocBuilderWorkers from "../../src/layers/ZtocBuilderWorkers.ts"
import { type ArtifactEntry, ArtifactsDb } from "../../src/services/ArtifactsDb.ts"
import { ContentStore } from "../../src/services/ContentStore.ts"
import { ImageSource } from "../../src/services/ImageSource.ts"
import { IndexBuilder, type IndexBuildOptions } from "../../src/services/IndexBuilder.ts"
import { isIndexType } from "../../src/services/MediaType.ts"
import { decodeImageIndex } from "../../src/streams/codec/imageDocuments.ts"
import { buildOptionsOf, caseOf, givenPlatforms, platform, type Run, vectorFile } from "../support/indexVectors.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

/** As the dumps of the reference's data base have it; the platform is the one that was asked for. */
const rowOf = (entry: ArtifactEntry) => ({
  artifact_type: entry.artifactType,
  digest: entry.digest,
  image_digest: entry.imageDigest,
  location: entry.location,
  media_type: entry.mediaType,
  oci_digest: entry.originalDigest,
  platform: entry.platform,
  size: entry.size,
  span_size: entry.spanSize,
  type: entry.type
})

/** A builder that writes into a store of its own. */
const builder = Effect.gen(function* () {
  const store = ContentStoreLayout.layer({ root: yield* temporaryDirectory })
  const artifacts = ArtifactsDbSqlite.layer({ path: path.join(yield* temporaryDirectory, "artifacts.sqlite") })
  const context = yield* Layer.build(
    Layer.mergeAll(IndexBuilderLive.layer, ImageSourceLive.layer).pipe(
      Layer.provideMerge(store),
      Layer.provideMerge(artifacts),
      Layer.provide([ZtocBuilderWorkers.layer, Layer.mock(RegistryFetcher, {})])
    )
  )
  const find = (name: string) =>
    Context.get(context, ImageSource).find({
      _tag: "Layout",
      path: vectorFile(`${name}/input`),
      tag: undefined,
      digest: undefined
    })
  const rows = Effect.map(Stream.runCollect(Context.get(context, ArtifactsDb).entries), (entries) => entries.map(rowOf))
  return { ...Context.get(context, IndexBuilder), rows, store: Context.get(context, ContentStore), find }
})

const platformsOf = Effect.fnUntraced(function* (
  image: Effect.Success<ReturnType<ImageSource["Service"]["find"]>>,
  run: Run
) {
  const { args } = run
  const given = givenPlatforms(run)
  if (given.length > 0) return given
  if (!args.includes("--all-platforms") || !isIndexType(image.target.mediaType)) return [platform("linux/amd64")]
  const index = yield* Effect.fromResult(decodeImageIndex(yield* image.readDocument(image.target)))
  return (index.manifests ?? []).flatMap(({ platform: own }) =>
    own === undefined || own.os === "unknown" || own.architecture === "unknown" ? [] : [own]
  )
})

/** The reference finds no file of a layer whose names begin with `./`, and fails to convert some platforms of a converted image. */
const differs = (name: string, { args, exitCode }: Run) =>
  args.includes("dot/file") || (name === "reconvert" && exitCode !== 0)

/** The reference rewrites attestations. */
const compatible = (name: string, run: Run) => ({ ...buildOptionsOf(name, run), attestations: "rewrite" as const })

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
  "reconvert",
  "prefetch",
  "same-manifest-twice",
  "unknown-child",
  "child-without-platform"
]

describe("an index", () => {
  for (const name of cases) {
    for (const run of caseOf(name).create ?? []) {
      if (run.args.includes("unknown/unknown") || differs(name, run)) continue

      it.live(`is the reference's, byte for byte (v1): ${name} ${run.args.join(" ")}`, () =>
        Effect.gen(function* () {
          const { build, find, rows } = yield* builder
          const image = yield* find(name)
          const digests: Array<string> = []
          for (const wanted of yield* platformsOf(image, run)) {
            const manifest = yield* resolvePlatform(image, wanted)
            const built = yield* Effect.result(
              build(image, { ...manifest, platform: wanted }, "v1", buildOptionsOf(name, run))
            )
            if (Result.isSuccess(built)) digests.push(built.success.descriptor.digest)
            else assert.strictEqual(built.failure._tag, "EmptyIndex")
          }
          assert.deepStrictEqual(digests.toSorted(), (run.sociIndexes ?? []).map(({ digest }) => digest).toSorted())
          assert.deepStrictEqual(yield* rows, run.artifactsDb ?? [])
        })
      )
    }

    for (const run of caseOf(name).convert ?? []) {
      if (differs(name, run)) continue

      it.live(`is found in the reference's converted image (v2): ${name} ${run.args.join(" ")}`, () =>
        Effect.gen(function* () {
          const { convert, find } = yield* builder
          const image = yield* find(name)
          const converted = yield* Effect.result(convert(image, yield* platformsOf(image, run), compatible(name, run)))
          if (run.exitCode !== 0) {
            const message = Result.isFailure(converted) ? converted.failure.message : ""
            assert.strictEqual(`soci: ${message}`, run.stderr?.trim())
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

describe("the artifacts data base", () => {
  for (const name of cases) {
    const run = caseOf(name).convertInContainerd
    if (run?.artifactsDb === undefined || run.exitCode !== 0) continue

    it.live(`has the reference's rows after a conversion: ${name}`, () =>
      Effect.gen(function* () {
        const { convert, find, rows } = yield* builder
        const image = yield* find(name)
        yield* convert(image, yield* platformsOf(image, run), compatible(name, run))
        assert.deepStrictEqual(yield* rows, run.artifactsDb)
      })
    )
  }

  it.live("lets a second run take the ztocs of the first, unless they are gone or are to be made anew", () =>
    Effect.gen(function* () {
      const { build, find, store } = yield* builder
      const blobs = path.join(store.location, "blobs", "sha256")
      const image = yield* find("oci-single")
      const manifest = yield* resolvePlatform(image, hostPlatform)
      const eventsOf = Effect.fnUntraced(function* (rest: Partial<IndexBuildOptions>) {
        const events = new Set<string>()
        const onEvent: IndexBuildOptions["onEvent"] = ({ _tag }) => Effect.sync(() => void events.add(_tag))
        const options = { ...buildOptionsOf("oci-single", { args: ["--min-layer-size", "0"] }), onEvent, ...rest }
        const built = yield* build(image, { ...manifest, platform: hostPlatform }, "v1", options)
        return { digest: built.descriptor.digest, events: [...events].filter((tag) => tag !== "LayerProgress") }
      })
      const first = yield* eventsOf({})
      assert.deepStrictEqual(first.events, ["LayerBuilt"])
      assert.deepStrictEqual(yield* eventsOf({}), { digest: first.digest, events: ["LayerReused"] })
      assert.deepStrictEqual(yield* eventsOf({ forceRecreate: true }), first)
      assert.deepStrictEqual((yield* eventsOf({ spanSize: 65_536 })).events, ["LayerBuilt"])
      for (const blob of readdirSync(blobs)) rmSync(path.join(blobs, blob))
      assert.deepStrictEqual(yield* eventsOf({}), first)
    })
  )
})

describe("a conversion", () => {
  it.live("leaves attestations as they are, and what was converted before in its place", () =>
    Effect.gen(function* () {
      const { convert, find, store } = yield* builder
      const image = yield* find("multi-attestation")
      const options = buildOptionsOf("oci-single", { args: ["--min-layer-size", "0"] })
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

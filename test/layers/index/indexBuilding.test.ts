import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Option, Stream } from "effect"
import { readdirSync, rmSync, writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import * as path from "node:path"
import { gzipSync } from "node:zlib"
import { hostPlatform } from "../../../src/layers/hostPlatform.ts"
import { ContentNotFound, ContentStoreFailed, type ContentStore } from "../../../src/services/ContentStore.ts"
import type { SourceImage } from "../../../src/services/ImageSource.ts"
import type { IndexBuildEvent, IndexBuildOptions } from "../../../src/services/IndexBuilder.ts"
import { isManifestType, MediaType } from "../../../src/services/MediaType.ts"
import { artifactTypeOf, SociAnnotation } from "../../../src/services/SociIndex.ts"
import { decodeImageIndex, decodeManifest } from "../../../src/streams/codec/imageDocuments.ts"
import { decodePrefetchArtifact } from "../../../src/streams/codec/prefetchArtifact.ts"
import { digestOf } from "../../../src/streams/verify.ts"
import { descriptorOf, json, noise } from "../../support/content.ts"
import { caseOf, platform } from "../../support/indexVectors.ts"
import { tarOf } from "../../support/tarArchive.ts"
import { vectorBuilder } from "../../support/vectorBuilder.ts"

type Store = ContentStore["Service"]
type Labels = Record<string, Record<string, string>>

/** A store that keeps its labels, and knows whether what it was asked happened within a lease. */
const watching = (labels: Labels, outside: Array<string>) => {
  let leases = 0
  const within = (what: string) => {
    if (leases === 0) outside.push(what)
  }
  return (store: Store): Store => ({
    ...store,
    withLease: (effect) =>
      Effect.acquireUseRelease(
        Effect.sync(() => void leases++),
        () => effect,
        () => Effect.sync(() => void leases--)
      ),
    ingest: (descriptor, content) => {
      within(`ingest ${descriptor.digest}`)
      return store.ingest(descriptor, content)
    },
    label: (parent, key, value) => {
      within(`label ${parent}`)
      return Effect.sync(() => {
        labels[parent] = { ...labels[parent], [key]: value }
      })
    }
  })
}

const blobsOf = (store: Store) => readdirSync(path.join(store.location, "blobs/sha256"))

/** Events other than progress, without what differs between runs. */
const eventLog = () => {
  const events: Array<IndexBuildEvent> = []
  const onEvent: IndexBuildOptions["onEvent"] = (event) =>
    Effect.sync(() => void (event._tag === "LayerProgress" ? 0 : events.push(event)))
  return { events, onEvent }
}

/** The two layers of an image with one manifest. */
const layersOf = Effect.fnUntraced(function* (image: SourceImage) {
  const manifest = yield* Effect.fromResult(decodeManifest(yield* image.readDocument(image.target)))
  const [first, second] = manifest.layers ?? []
  assert.isDefined(first)
  assert.isDefined(second)
  return [first, second] as const
})

/** An image of these layers, beside the blobs of another. */
const imageOf = (
  beside: SourceImage,
  layers: ReadonlyArray<Uint8Array>,
  mediaType: string = MediaType.ociLayerGzip
) => {
  const blobs = new Map(layers.map((bytes) => [digestOf(bytes), bytes]))
  const config = descriptorOf(json(hostPlatform), MediaType.ociConfig)
  const descriptors = layers.map((bytes) => descriptorOf(bytes, mediaType))
  const manifest = json({ schemaVersion: 2, mediaType: MediaType.ociManifest, config, layers: descriptors })
  const target = descriptorOf(manifest, MediaType.ociManifest)
  const own: SourceImage = {
    ...beside,
    target,
    readDocument: (descriptor) =>
      descriptor.digest === target.digest ? Effect.succeed(manifest) : Effect.die("unknown"),
    readBlob: ({ digest }) => Stream.make(blobs.get(digest) ?? new Uint8Array(0))
  }
  return own
}

describe("labels and leases of built indexes", () => {
  for (const name of ["oci-single", "docker-list", "compressions", "multi-attestation", "prefetch"]) {
    const run = caseOf(name).convertInContainerd
    if (run?.labels === undefined) continue

    it.live(`are those of the reference, and nothing is made outside a lease: ${name}`, () =>
      Effect.gen(function* () {
        const labels: Labels = {}
        const outside: Array<string> = []
        const { convert } = yield* vectorBuilder(name, watching(labels, outside))
        yield* convert(run, { attestations: "rewrite" })
        assert.deepStrictEqual(labels, run.labels)
        assert.deepStrictEqual(outside, [])
      })
    )
  }

  it.live("make the index, or the converted image and not its indexes, a root where that is wanted", () =>
    Effect.gen(function* () {
      const labels: Labels = {}
      const { build, convert } = yield* vectorBuilder("oci-single", watching(labels, []))
      const built = yield* build("v1", undefined, platform("linux/amd64"), { gcRootLabel: true })
      assert.match(
        labels[built.descriptor.digest]?.["containerd.io/gc.root"] ?? "",
        /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/
      )
      const { descriptor, indexes } = yield* convert(undefined, { gcRootLabel: true })
      assert.isDefined(labels[descriptor.digest]?.["containerd.io/gc.root"])
      for (const index of indexes) assert.isUndefined(labels[index.descriptor.digest]?.["containerd.io/gc.root"])
    })
  )

  it.live("that cannot be set are an error that says which", () =>
    Effect.gen(function* () {
      const down = new ContentStoreFailed({ operation: "label", store: "x", reference: "x", reason: "it is down" })
      const { build } = yield* vectorBuilder("oci-single", (store) => ({ ...store, label: () => Effect.fail(down) }))
      const error = yield* Effect.flip(build("v1"))
      assert.match(error.message, /^cannot apply garbage collection label to index sha256:[0-9a-f]{64}: .*it is down/)
    })
  )
})

describe("building an index", () => {
  it.live("says what cannot be built: negative sizes, and images without a platform", () =>
    Effect.gen(function* () {
      const { build, convert, image } = yield* vectorBuilder("oci-single")
      const failures = [
        [build("v1", undefined, undefined, { spanSize: -1 }), "span size must be >= 0"],
        [build("v1", undefined, undefined, { minLayerSize: -1 }), "min layer size must be >= 0"],
        [convert(undefined, { spanSize: -1 }), "span size must be >= 0"],
        [
          convert(undefined, {}, { ...image, target: { ...image.target, mediaType: MediaType.ociIndex } }),
          "expected index but found manifest"
        ]
      ] as const
      for (const [failing, text] of failures) {
        const error = yield* Effect.flip(Effect.asVoid(failing as Effect.Effect<unknown, Error>))
        assert.include(error.message, text)
      }
    })
  )

  it.live.skipIf(availableParallelism() < 2)("ends all layers with the first that fails (skipped on one core)", () =>
    Effect.gen(function* () {
      const { build, image } = yield* vectorBuilder("oci-single")
      const [first, second] = yield* layersOf(image)
      const begun = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      const lost = new ContentNotFound({ store: "x", reference: second.digest })
      const endless = Stream.fromEffectDrain(Deferred.succeed(begun, undefined)).pipe(
        Stream.concat(Stream.never),
        Stream.ensuring(Deferred.succeed(ended, undefined))
      )
      const failing = Stream.unwrap(Effect.as(Deferred.await(begun), Stream.fail(lost)))
      const readBlob: SourceImage["readBlob"] = (layer) => (layer.digest === first.digest ? endless : failing)
      const error = yield* Effect.flip(build("v1", undefined, undefined, {}, { ...image, readBlob }))
      yield* Deferred.await(ended)
      assert.strictEqual(error.message, `errors encountered while building soci layers; ${lost.message}`)
    })
  )

  it.live("builds no more layers at once than there are cores, and a layer that is listed twice once", () =>
    Effect.gen(function* () {
      const { build, image } = yield* vectorBuilder("oci-single")
      const layers = Array.from({ length: 8 }, (_, i) =>
        gzipSync(tarOf({ name: `file ${i}`, content: noise(100_000, i) }))
      )
      const own = imageOf(image, [...layers, ...layers.slice(0, 1)])
      let [open, most, opened] = [0, 0, 0]
      const readBlob: SourceImage["readBlob"] = (layer) =>
        own.readBlob(layer).pipe(
          Stream.onStart(
            Effect.sync(() => {
              opened++
              most = Math.max(most, ++open)
            })
          ),
          Stream.ensuring(Effect.sync(() => void open--))
        )
      const { ztocs } = yield* build("v1", undefined, undefined, {}, { ...own, readBlob })
      assert.lengthOf(ztocs, 9)
      assert.strictEqual(ztocs[0]?.digest, ztocs[8]?.digest)
      assert.strictEqual(opened, 8)
      assert.isAtMost(most, availableParallelism())
    })
  )

  it.live("refuses what is no layer, in the words of the reference", () =>
    Effect.gen(function* () {
      const { build, convert, image } = yield* vectorBuilder("multi-attestation")
      const args = ["-p", "unknown/unknown", "--min-layer-size", "0"]
      const text = "errors encountered while building soci layers; not a layer mediaType"
      assert.strictEqual((yield* Effect.flip(convert({ args }))).message, text)
      const unknown = imageOf(image, [noise(10)], "application/vnd.oci.image.layer.v2.tar+gzip")
      assert.include(
        (yield* Effect.flip(build("v1", undefined, undefined, {}, unknown))).message,
        "could not determine layer compression: unrecognised mediatype application/vnd.oci.image.layer.v2.tar+gzip: not implemented"
      )
    })
  )

  it.live("takes what a failed run had finished", () =>
    Effect.gen(function* () {
      const { build, image } = yield* vectorBuilder("oci-single")
      const [first, second] = yield* layersOf(image)
      const built = yield* Deferred.make<void>()
      const lost = new ContentNotFound({ store: "x", reference: second.digest })
      const failing = Stream.unwrap(Effect.as(Deferred.await(built), Stream.fail(lost)))
      const readBlob: SourceImage["readBlob"] = (layer) =>
        layer.digest === first.digest ? image.readBlob(layer) : failing
      const onEvent: IndexBuildOptions["onEvent"] = ({ _tag }) =>
        _tag === "LayerBuilt" ? Deferred.succeed(built, undefined) : Effect.void
      yield* Effect.flip(build("v1", undefined, undefined, { onEvent }, { ...image, readBlob }))
      const log = eventLog()
      yield* build("v1", undefined, undefined, log)
      assert.deepStrictEqual(
        new Map(log.events.map((event) => ["layer" in event ? event.layer.digest : "", event._tag])),
        new Map<string, IndexBuildEvent["_tag"]>([
          [first.digest, "LayerReused"],
          [second.digest, "LayerBuilt"]
        ])
      )
    })
  )

  it.live("fails in the words of the reference when a ztoc cannot be kept, or an existing one cannot be read", () =>
    Effect.gen(function* () {
      const full = new ContentStoreFailed({ operation: "ingest", store: "x", reference: "x", reason: "no space left" })
      const { build } = yield* vectorBuilder("oci-single", (store) => ({
        ...store,
        ingest: (descriptor, content) =>
          descriptor.mediaType === MediaType.ztoc ? Effect.fail(full) : store.ingest(descriptor, content)
      }))
      const error = yield* Effect.flip(build("v1"))
      const text = "errors encountered while building soci layers; cannot push ztoc to local store: "
      assert.isTrue(error.message.startsWith(text), error.message)

      const other = yield* vectorBuilder("oci-single")
      const { ztocs } = yield* other.build("v1")
      const [ztoc] = ztocs
      assert.isDefined(ztoc)
      const file = path.join(other.store.location, "blobs/sha256", ztoc.digest.slice("sha256:".length))
      rmSync(file)
      writeFileSync(file, "damaged")
      assert.include((yield* Effect.flip(other.build("v1"))).message, "failed to fetch existing ztoc: ")
      yield* other.build("v1", undefined, undefined, { forceRecreate: true })
    })
  )

  it.live("fails in the words of the reference when the index itself cannot be kept", () =>
    Effect.gen(function* () {
      const full = new ContentStoreFailed({ operation: "ingest", store: "x", reference: "x", reason: "no space left" })
      for (const [mediaType, text] of [
        [artifactTypeOf("v1"), "error creating OCI 1.0 empty config: "],
        [MediaType.ociManifest, "cannot write SOCI index to local store: "]
      ] as const) {
        const { build, db } = yield* vectorBuilder("oci-single", (store) => ({
          ...store,
          ingest: (descriptor, content) =>
            descriptor.mediaType === mediaType ? Effect.fail(full) : store.ingest(descriptor, content)
        }))
        const error = yield* Effect.flip(build("v1"))
        assert.isTrue(error.message.startsWith(text), error.message)
        assert.deepStrictEqual(yield* Stream.runCollect(db.entriesOfType("soci_index")), [])
      }
    })
  )

  it.live("builds a ztoc again whose content is gone, in either store (section 14, row 5)", () =>
    Effect.gen(function* () {
      const { build, store } = yield* vectorBuilder("oci-single")
      const first = yield* build("v1")
      for (const blob of blobsOf(store)) rmSync(path.join(store.location, "blobs/sha256", blob))
      const log = eventLog()
      const again = yield* build("v1", undefined, undefined, log)
      assert.strictEqual(again.descriptor.digest, first.descriptor.digest)
      assert.isTrue(log.events.every(({ _tag }) => _tag === "LayerBuilt"))
    })
  )
})

describe("prefetch artifacts of an index", () => {
  it.live("are made for the layers that hold the files, and said so; files nobody has are named (section 7)", () =>
    Effect.gen(function* () {
      const run = caseOf("prefetch").create?.[0]
      const { build, store, db } = yield* vectorBuilder("prefetch")
      const log = eventLog()
      const { prefetch, ztocs } = yield* build("v1", run, platform("linux/amd64"), log)
      const [artifact] = prefetch
      assert.isDefined(artifact)
      const layer = artifact.annotations?.[SociAnnotation.imageLayerDigest]
      assert.deepStrictEqual(
        log.events.flatMap((event) =>
          event._tag === "PrefetchBuilt"
            ? [[event.layer.digest, event.prefetch.digest]]
            : event._tag === "PrefetchFileMissing"
              ? [[event.path]]
              : []
        ),
        [["nope"], [layer, artifact.digest]]
      )
      const decoded = yield* Effect.fromResult(decodePrefetchArtifact(yield* store.readDocument(artifact)))
      assert.isNotEmpty(decoded.spans)
      assert.strictEqual((yield* db.get(artifact.digest)).type, "soci_prefetch")
      assert.isTrue(ztocs.every((ztoc) => ztoc.mediaType === MediaType.ztoc))
    })
  )

  it.live("find files of layers whose names begin with ./, which the reference does not (section 14, row 6)", () =>
    Effect.gen(function* () {
      const { build } = yield* vectorBuilder("prefetch")
      const run = caseOf("prefetch").create?.find(({ args }) => args.includes("dot/file"))
      const log = eventLog()
      const { prefetch } = yield* build("v1", run, platform("linux/amd64"), log)
      assert.lengthOf(prefetch, 1)
      assert.isFalse(log.events.some(({ _tag }) => _tag === "PrefetchFileMissing"))
    })
  )
})

describe("prefetched files of layers upon each other", () => {
  const lower = gzipSync(tarOf({ name: "./opt/kept", content: "lower" }, { name: "opt/gone", content: "lower" }))
  const upper = gzipSync(tarOf({ name: "opt/.wh.gone" }, { name: "opt/new", content: "upper" }))

  it.live(
    "are those that the image shows: not what an upper layer deletes, and what it has itself (section 14, row 6)",
    () =>
      Effect.gen(function* () {
        const { build, image } = yield* vectorBuilder("oci-single")
        const log = eventLog()
        const prefetchPaths = ["opt/kept", "/opt/gone", "opt/new", "opt/new/"]
        const own = imageOf(image, [lower, upper])
        const { prefetch } = yield* build("v1", undefined, undefined, { ...log, prefetchPaths }, own)
        assert.deepStrictEqual(
          prefetch.map((artifact) => artifact.annotations?.[SociAnnotation.imageLayerDigest]),
          [digestOf(lower), digestOf(upper)]
        )
        const missing = log.events.flatMap((event) => (event._tag === "PrefetchFileMissing" ? [event.path] : []))
        assert.deepStrictEqual(missing, ["opt/gone"])
      })
  )
})

describe("conversions that the reference does otherwise (section 14)", () => {
  it.live("keep the annotations that link an attestation to its image (row 1)", () =>
    Effect.gen(function* () {
      const { convert, image, store } = yield* vectorBuilder("multi-attestation")
      const run = caseOf("multi-attestation").convert?.[0]
      const attestationsOf = Effect.fnUntraced(function* (attestations?: "keep" | "rewrite") {
        const { descriptor } = yield* convert(run, attestations === undefined ? {} : { attestations })
        const index = yield* Effect.fromResult(decodeImageIndex(yield* store.readDocument(descriptor)))
        return (index.manifests ?? []).filter((one) => one.platform?.os === "unknown")
      })
      const original = yield* Effect.fromResult(decodeImageIndex(yield* image.readDocument(image.target)))
      const expected = (original.manifests ?? []).filter((one) => one.platform?.os === "unknown")
      assert.isNotEmpty(expected)
      assert.deepStrictEqual(yield* attestationsOf(), expected)
      assert.deepStrictEqual(yield* attestationsOf("keep"), expected)
      const [rewritten] = yield* attestationsOf("rewrite")
      assert.isUndefined(rewritten?.annotations?.["vnd.docker.reference.digest"])
    })
  )

  it.live("convert some platforms of a converted image (row 2)", () =>
    Effect.gen(function* () {
      const { convert, image, store } = yield* vectorBuilder("reconvert")
      const runs = caseOf("reconvert").convert ?? []
      const failing = runs.find(({ exitCode }) => exitCode !== 0)
      assert.isDefined(failing)
      const before = yield* Effect.fromResult(decodeImageIndex(yield* image.readDocument(image.target)))
      const { descriptor } = yield* convert(failing)
      const after = yield* Effect.fromResult(decodeImageIndex(yield* store.readDocument(descriptor)))
      const sociOf = (index: typeof before) =>
        (index.manifests ?? []).filter((one) => one.artifactType === MediaType.sociIndexV2)
      assert.lengthOf(sociOf(after), sociOf(before).length)
      const untouched = sociOf(before).filter((one) => one.platform?.architecture !== "amd64")
      for (const entry of untouched) assert.deepInclude(sociOf(after), entry)
    })
  )

  it.live("refuse an index in the place of a manifest, and keep one that is not asked for (row 4)", () =>
    Effect.gen(function* () {
      const { convert, image, store } = yield* vectorBuilder("nested-index")
      const original = yield* Effect.fromResult(decodeImageIndex(yield* image.readDocument(image.target)))
      const nested = (original.manifests ?? []).filter(({ mediaType }) => !isManifestType(mediaType))
      assert.isNotEmpty(nested)
      for (const entry of nested) {
        const wanted = entry.platform
        if (wanted === undefined) continue
        const args = ["-p", [wanted.os, wanted.architecture].join("/"), "--min-layer-size", "0"]
        const result = yield* Effect.result(convert({ args }))
        if (result._tag === "Failure") {
          assert.include(result.failure.message, "is no manifest but")
          continue
        }
        const index = yield* Effect.fromResult(decodeImageIndex(yield* store.readDocument(result.success.descriptor)))
        assert.deepInclude(index.manifests ?? [], entry)
      }
    })
  )

  it.live(
    "leave no row of an index whose conversion failed, and find an index by each image that shares it (row 10)",
    () =>
      Effect.gen(function* () {
        const { convert, db, image } = yield* vectorBuilder("oci-single")
        const first = yield* convert()
        const bytes = yield* image.readDocument(image.target)
        const manifest = yield* Effect.fromResult(decodeManifest(bytes))
        const other = json({ ...manifest, mediaType: MediaType.ociManifest, annotations: { another: "image" } })
        const target = descriptorOf(other, MediaType.ociManifest)
        const readDocument: SourceImage["readDocument"] = (descriptor) =>
          descriptor.digest === target.digest ? Effect.succeed(other) : image.readDocument(descriptor)
        const second = yield* convert(undefined, {}, { ...image, target, readDocument })
        const shared = first.indexes[0]?.descriptor.digest
        assert.isDefined(shared)
        assert.deepStrictEqual(
          second.indexes.map(({ descriptor }) => descriptor.digest),
          [shared]
        )
        for (const { descriptor } of [first, second]) {
          const rows = yield* db.indexesOfImage(descriptor.digest)
          assert.deepStrictEqual(
            rows.map((row) => [row.digest, row.imageDigest]),
            [[shared, descriptor.digest]]
          )
        }

        const full = new ContentStoreFailed({
          operation: "ingest",
          store: "x",
          reference: "x",
          reason: "no space left"
        })
        const failing = yield* vectorBuilder("oci-single", (store) => ({
          ...store,
          ingest: (descriptor, content) =>
            descriptor.mediaType === MediaType.ociIndex ? Effect.fail(full) : store.ingest(descriptor, content)
        }))
        const error = yield* Effect.flip(failing.convert())
        assert.include(error.message, "cannot write the image index to local store: ")
        assert.isTrue(Option.isNone(yield* Stream.runHead(failing.db.entriesOfType("soci_index"))))
      })
  )
})

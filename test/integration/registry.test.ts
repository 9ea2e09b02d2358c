/**
 * Registries and layouts as programs of others see them: docker-registry, skopeo, umoci.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, Stream } from "effect"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import * as ContentStoreLayout from "../../src/layers/ContentStoreLayout.ts"
import { ContentStore } from "../../src/services/ContentStore.ts"
import { MediaType } from "../../src/services/MediaType.ts"
import type { RegistryFetcher } from "../../src/services/RegistryFetcher.ts"
import { descriptorOf, json } from "../support/content.ts"
import { dockerRegistry } from "../support/dockerRegistry.ts"
import { embeddedRegistry } from "../support/embeddedRegistry.ts"
import { hasProgram, runProgram } from "../support/programs.ts"
import { registryFetcher } from "../support/registryFetcher.ts"
import { type SampleImage, sampleImage, storeImage } from "../support/sampleImage.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const pushImage = Effect.fnUntraced(function* (
  fetcher: RegistryFetcher["Service"],
  host: string,
  image: SampleImage,
  tag: string
) {
  const repository = { host, repository: "team/app" }
  for (const [descriptor, bytes] of image.blobs) yield* fetcher.push(repository, descriptor, Stream.make(bytes))
  yield* fetcher.pushManifest(repository, image.manifest, image.manifestBytes, tag)
  return repository
})

const bytesOf = <E, R>(stream: Stream.Stream<Uint8Array, E, R>) =>
  Effect.map(Stream.runCollect(stream), (chunks) => Buffer.concat(chunks))

const skopeo = (...args: ReadonlyArray<string>) => runProgram("skopeo", "--insecure-policy", ...args)

const inspect = (...args: ReadonlyArray<string>) =>
  Effect.map(skopeo("inspect", "--tls-verify=false", ...args), (text): unknown => JSON.parse(text))

const openStore = (root: string) =>
  Effect.map(Layer.build(ContentStoreLayout.layer({ root })), (built) => Context.get(built, ContentStore))

const needs = (...programs: ReadonlyArray<string>) => {
  const missing = programs.filter((name) => !hasProgram(name))
  return { skip: missing.length > 0, name: missing.length > 0 ? ` (skipped: ${missing.join(", ")} is missing)` : "" }
}

const withRegistry = needs("docker-registry", "skopeo")

describe.skipIf(withRegistry.skip)(`docker-registry 2.8${withRegistry.name}`, () => {
  it.live("takes an image that skopeo then finds whole", () =>
    Effect.gen(function* () {
      const { host } = yield* dockerRegistry()
      const image = yield* sampleImage
      yield* pushImage(yield* registryFetcher(), host, image, "v1")
      const name = `docker://${host}/team/app:v1`
      assert.deepInclude(yield* inspect(name), {
        Digest: image.manifest.digest,
        Architecture: "amd64",
        Layers: [image.blobs[1]?.[0].digest]
      })
      const root = yield* temporaryDirectory
      yield* skopeo("copy", "--src-tls-verify=false", name, `oci:${root}:v1`)
      assert.strictEqual((yield* (yield* openStore(root)).resolve("v1")).digest, image.manifest.digest)
    })
  )

  it.live("gives out by tag, by digest and by ranges what was pushed", () =>
    Effect.gen(function* () {
      const { host } = yield* dockerRegistry()
      const fetcher = yield* registryFetcher()
      const image = yield* sampleImage
      const repository = yield* pushImage(fetcher, host, image, "v1")
      const reference = { _tag: "Registry", ...repository, tag: "v1", digest: undefined } as const
      assert.deepStrictEqual(yield* fetcher.resolve(reference), image.manifest)
      const [layer, bytes] = image.blobs[1] ?? assert.fail("the image has a layer")
      assert.deepStrictEqual(yield* bytesOf(fetcher.fetch(repository, layer)), Buffer.from(bytes))
      const opened = yield* fetcher.open(repository, layer)
      assert.deepStrictEqual(yield* bytesOf(opened.read(1000, 5000)), Buffer.from(bytes.subarray(1000, 6000)))
      assert.isTrue(yield* fetcher.exists(repository, image.manifest))
      assert.isFalse(yield* fetcher.exists(repository, descriptorOf(json("no such blob"))))
      const gone = yield* Effect.flip(fetcher.resolve({ ...reference, tag: "v2" }))
      assert.strictEqual(gone._tag, "NotInRegistry")
      assert.strictEqual(yield* fetcher.push(repository, layer, Stream.die("must not be read")), "present")
    })
  )

  it.live("keeps referrers under a tag, as it has no API for them", () =>
    Effect.gen(function* () {
      const { host } = yield* dockerRegistry()
      const fetcher = yield* registryFetcher()
      const image = yield* sampleImage
      const repository = yield* pushImage(fetcher, host, image, "v1")
      const config = json({})
      yield* fetcher.push(repository, descriptorOf(config), Stream.make(config))
      const artifact = json({
        schemaVersion: 2,
        mediaType: MediaType.ociManifest,
        config: descriptorOf(config, MediaType.sociIndexV1),
        layers: [],
        subject: image.manifest,
        annotations: { "com.amazon.soci.build-tool-identifier": "x" }
      })
      const descriptor = descriptorOf(artifact, MediaType.ociManifest)
      yield* fetcher.pushManifest(repository, descriptor, artifact)
      const listed = {
        ...descriptor,
        annotations: { "com.amazon.soci.build-tool-identifier": "x" },
        artifactType: MediaType.sociIndexV1
      }
      const found = yield* fetcher.referrers(repository, image.manifest.digest, MediaType.sociIndexV1)
      assert.deepStrictEqual(found, [listed])
      const tag = image.manifest.digest.replace(":", "-")
      const raw = yield* inspect("--raw", `docker://${host}/team/app:${tag}`)
      assert.deepStrictEqual(raw, { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [listed] })
    })
  )

  it.live("lets in who gives name and password", () =>
    Effect.gen(function* () {
      const { host } = yield* dockerRegistry({ password: true })
      const image = yield* sampleImage
      yield* pushImage(yield* registryFetcher({ user: Redacted.make("me:secret") }), host, image, "v1")
      const reference = { _tag: "Registry", host, repository: "team/app", tag: "v1", digest: undefined } as const
      for (const user of ["me:wrong", "me"]) {
        const fetcher = yield* registryFetcher({ user: Redacted.make(user) })
        assert.strictEqual((yield* Effect.flip(fetcher.resolve(reference)))._tag, "RegistryUnauthorized")
      }
      const error = yield* Effect.flip((yield* registryFetcher()).resolve(reference))
      assert.include(error.message, "Log in with docker login")
    })
  )
})

const withSkopeo = needs("skopeo")

describe.skipIf(withSkopeo.skip)(`the embedded registry and skopeo${withSkopeo.name}`, () => {
  it.live("hand an image out and take it in, the same to the last byte", () =>
    Effect.gen(function* () {
      const source = yield* embeddedRegistry()
      const target = yield* embeddedRegistry({ referrersApi: false })
      const image = yield* sampleImage
      yield* storeImage(source.store, image, "team/app:v1")
      yield* skopeo(
        "copy",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        `docker://${source.host}/team/app:v1`,
        `docker://${target.host}/other/name:v2`
      )
      assert.strictEqual((yield* target.store.resolve("other/name:v2")).digest, image.manifest.digest)
      for (const [descriptor] of image.blobs) yield* Stream.runDrain(target.store.read(descriptor))
      assert.deepInclude(yield* inspect(`docker://${target.host}/other/name:v2`), { RepoTags: ["v2"] })
      assert.isAbove((yield* source.stats).blobBytesServed, 0)
    })
  )
})

const withTools = needs("skopeo", "umoci")

describe.skipIf(withTools.skip)(`an OCI layout of ours${withTools.name}`, () => {
  it.live("is read by skopeo and umoci, and written by skopeo without harm to what is in it", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const image = yield* sampleImage
      const store = yield* openStore(root)
      yield* storeImage(store, image, "v1")
      assert.deepInclude(yield* inspect(`oci:${root}:v1`), { Digest: image.manifest.digest, Os: "linux" })
      assert.strictEqual((yield* runProgram("umoci", "ls", "--layout", root)).trim(), "v1")
      const bundle = path.join(yield* temporaryDirectory, "bundle")
      yield* runProgram("umoci", "unpack", "--rootless", "--image", `${root}:v1`, bundle)
      assert.strictEqual(readFileSync(path.join(bundle, "rootfs/hello"), "utf8"), "hello\n")

      yield* skopeo("copy", `oci:${root}:v1`, `oci:${root}:copy`)
      yield* store.tag(image.manifest, "v2")
      const tags = (yield* store.tags).map(({ tag }) => tag)
      assert.deepStrictEqual(tags, ["copy", "v1", "v2"])
    })
  )
})

import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { MediaType } from "../../src/services/MediaType.ts"
import { digestOf } from "../../src/streams/verify.ts"
import { blob, content, fetchFrom, in1, manifest, manifestBytes } from "../support/blobServer.ts"
import { chunked, descriptorOf, json, noise } from "../support/content.ts"
import { embeddedRegistry } from "../support/embeddedRegistry.ts"
import { faultServer } from "../support/faultServer.ts"
import { registryFetcher } from "../support/registryFetcher.ts"

const referrer = (name: string) => ({ ...descriptorOf(json(name), MediaType.ociManifest), artifactType: "a" })

describe("RegistryFetcherHttp", () => {
  it.live("pushes blobs once, and manifests that can be resolved", () =>
    Effect.gen(function* () {
      const { host, store, stats } = yield* embeddedRegistry()
      const fetcher = yield* registryFetcher()
      const repository = in1(host)
      assert.strictEqual(yield* fetcher.push(repository, blob, chunked(content, 50_000)), "pushed")
      assert.strictEqual(yield* fetcher.push(repository, blob, Stream.die("must not be read")), "present")
      assert.isTrue(yield* store.exists(blob.digest))
      assert.strictEqual((yield* stats).bytesReceived, content.length)

      const config = json({})
      yield* fetcher.push(repository, descriptorOf(config), chunked(config, 10))
      yield* fetcher.pushManifest(repository, manifest, manifestBytes, "v1")
      const reference = { _tag: "Registry", ...repository, tag: "v1", digest: undefined } as const
      assert.deepStrictEqual(yield* fetcher.resolve(reference), manifest)
      assert.deepStrictEqual(yield* fetcher.resolve({ ...reference, digest: manifest.digest }), manifest)
      assert.deepStrictEqual(yield* fetcher.fetchManifest(repository, manifest), Buffer.from(manifestBytes))
      assert.isTrue(yield* fetcher.exists(repository, manifest))
      const gone = yield* Effect.flip(fetcher.resolve({ ...reference, tag: "v2" }))
      assert.strictEqual(gone._tag, "NotInRegistry")
    })
  )

  it.live("pushes what it fetches from the same host, with one place for each", () =>
    Effect.gen(function* () {
      const { host, store } = yield* embeddedRegistry()
      const target = yield* embeddedRegistry()
      const fetcher = yield* registryFetcher({ requestsPerHost: 1 })
      yield* store.ingest(blob, Stream.make(content))
      const copy = fetcher.push(in1(target.host), blob, Stream.orDie(fetcher.fetch(in1(host), blob)))
      assert.strictEqual(yield* Effect.timeout(copy, "20 seconds"), "pushed")
      const again = fetcher.push(in1(host), { ...blob, digest: digestOf(noise(1)) }, fetcher.fetch(in1(host), blob))
      assert.strictEqual((yield* Effect.flip(Effect.timeout(again, "20 seconds")))._tag, "RegistryFailed")
    })
  )

  it.live("fails with what the source of an upload failed with, and without repeating it", () =>
    Effect.gen(function* () {
      const { host } = yield* embeddedRegistry()
      const fetcher = yield* registryFetcher()
      let runs = 0
      const source = Stream.suspend(() => {
        runs++
        return Stream.concat(chunked(content.subarray(0, 100_000), 50_000), Stream.fail("disk on fire" as const))
      })
      assert.strictEqual(yield* Effect.flip(fetcher.push(in1(host), blob, source)), "disk on fire")
      assert.strictEqual(runs, 1)
    })
  )

  it.live("uploads no content that is not what its descriptor says", () =>
    Effect.gen(function* () {
      const { host, store } = yield* embeddedRegistry()
      const fetcher = yield* registryFetcher()
      for (const wrong of [noise(content.length, 2), content.subarray(1), Buffer.concat([content, noise(1)])]) {
        let runs = 0
        const source = Stream.suspend(() => (runs++, chunked(wrong, 50_000)))
        const error = yield* Effect.flip(fetcher.push(in1(host), blob, source))
        assert.deepStrictEqual([error._tag, runs], ["RegistryFailed", 1])
      }
      assert.isFalse(yield* store.exists(blob.digest))
      const other = yield* Effect.flip(fetcher.pushManifest(in1(host), manifest, json({})))
      assert.strictEqual(other._tag, "RegistryFailed")
    })
  )

  for (const referrersApi of [true, false]) {
    it.live(`lists referrers ${referrersApi ? "by the API" : "by their tag, entered when they are pushed"}`, () =>
      Effect.gen(function* () {
        const { host } = yield* embeddedRegistry({ referrersApi })
        const fetcher = yield* registryFetcher()
        const repository = in1(host)
        const config = json({})
        yield* fetcher.push(repository, descriptorOf(config), chunked(config, 10))
        yield* fetcher.pushManifest(repository, manifest, manifestBytes)
        assert.deepStrictEqual(yield* fetcher.referrers(repository, manifest.digest, MediaType.sociIndexV1), [])
        const artifacts = [MediaType.sociIndexV1, "application/other"].flatMap((type) =>
          ["1", "2"].map((name) => ({
            type,
            bytes: json({
              schemaVersion: 2,
              mediaType: MediaType.ociManifest,
              config: descriptorOf(config, type),
              layers: [],
              subject: manifest,
              annotations: { name }
            })
          }))
        )
        yield* Effect.forEach(
          artifacts,
          ({ bytes }) => fetcher.pushManifest(repository, descriptorOf(bytes, MediaType.ociManifest), bytes),
          { concurrency: 4 }
        )
        const found = yield* fetcher.referrers(repository, manifest.digest, MediaType.sociIndexV1)
        assert.sameDeepMembers(
          [...found],
          artifacts.slice(0, 2).map(({ bytes, type }, i) => ({
            ...descriptorOf(bytes, MediaType.ociManifest),
            artifactType: type,
            annotations: { name: String(i + 1) }
          }))
        )
      })
    )
  }

  it.live("reads all pages of referrers, and no endless list of them", () =>
    Effect.gen(function* () {
      const server = yield* faultServer((request, response) => {
        const url = new URL(request.url ?? "", "http://x")
        const number = Number(url.searchParams.get("page") ?? 0)
        const endless = url.pathname.includes("endless")
        const link = `<${url.pathname}?artifactType=a&page=${number + 1}>; rel="next"`
        response.writeHead(200, {
          "content-type": MediaType.ociIndex,
          ...(number < 2 || endless ? { link } : {})
        })
        response.end(json({ schemaVersion: 2, manifests: [referrer(String(number))] }))
      })
      const fetcher = yield* registryFetcher()
      const found = yield* fetcher.referrers(in1(server.host), manifest.digest, "a")
      assert.deepStrictEqual(found, ["0", "1", "2"].map(referrer))
      const endless = fetcher.referrers({ host: server.host, repository: "endless" }, manifest.digest, "a")
      assert.include((yield* Effect.flip(endless)).message, "more than 100 pages")
    })
  )

  it.live("resolves where the registry's answer to HEAD says too little, and refuses another digest", () =>
    Effect.gen(function* () {
      const server = yield* faultServer((request, response) => {
        const headers: Record<string, string> = { "content-type": `${MediaType.ociManifest}; charset=utf-8` }
        if (request.url?.includes("lying")) {
          Object.assign(headers, { "docker-content-digest": digestOf(noise(1)), "content-length": "5" })
        }
        response.writeHead(200, headers)
        response.end(request.method === "HEAD" ? undefined : manifestBytes)
      })
      const fetcher = yield* registryFetcher()
      const reference = { _tag: "Registry", ...in1(server.host), tag: "v1", digest: undefined } as const
      assert.deepStrictEqual(yield* fetcher.resolve(reference), manifest)
      const lying = { ...reference, repository: "lying", digest: manifest.digest }
      assert.include((yield* Effect.flip(fetcher.resolve(lying))).message, "answered with sha256:")
    })
  )

  it.live("reads no manifest of more than 4 MiB", () =>
    Effect.gen(function* () {
      const { registry, host } = yield* fetchFrom((_, response) => response.end(Buffer.alloc(5 * 1024 * 1024)))
      const error = yield* Effect.flip(registry.fetchManifest(in1(host), manifest))
      assert.include(error.message, "more than 4194304 bytes came")
    })
  )
})

import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { request } from "undici"
import { MediaType } from "../../src/services/MediaType.ts"
import { digestOf } from "../../src/streams/verify.ts"
import { descriptorOf, json, noise } from "../support/content.ts"
import { embeddedRegistry } from "../support/embeddedRegistry.ts"
import { registryFetcher } from "../support/registryFetcher.ts"

interface Sent {
  readonly method?: "GET" | "HEAD" | "POST" | "PATCH" | "PUT" | "DELETE"
  readonly headers?: Record<string, string>
  readonly body?: Uint8Array
}

const ask = (host: string, path: string, sent: Sent = {}) =>
  Effect.promise(async () => {
    const response = await request(`http://${host}${path}`, sent)
    const body = Buffer.from(await response.body.arrayBuffer())
    return { status: response.statusCode, headers: response.headers, body }
  })

const codeOf = (body: Buffer): unknown => JSON.parse(body.toString()).errors[0].code

const content = noise(300_000)
const blob = descriptorOf(content)
const config = json({})
const manifest = json({
  schemaVersion: 2,
  mediaType: MediaType.ociManifest,
  config: descriptorOf(config, MediaType.ociConfig),
  layers: [descriptorOf(content, MediaType.ociLayerGzip)]
})

const withBlobs = Effect.fnUntraced(function* (options: Parameters<typeof embeddedRegistry>[0] = {}) {
  const registry = yield* embeddedRegistry(options)
  for (const bytes of [content, config]) yield* registry.store.ingest(descriptorOf(bytes), Stream.make(bytes))
  return registry
})

const putManifest = (host: string, reference: string, body = manifest, type: string = MediaType.ociManifest) =>
  ask(host, `/v2/team/app/manifests/${reference}`, { method: "PUT", headers: { "content-type": type }, body })

describe("EmbeddedRegistry", () => {
  it.live("says that it is a registry", () =>
    Effect.gen(function* () {
      const { host } = yield* embeddedRegistry()
      const { status, headers } = yield* ask(host, "/v2/")
      assert.strictEqual(status, 200)
      assert.strictEqual(headers["docker-distribution-api-version"], "registry/2.0")
      assert.match(host, /^127\.0\.0\.1:\d+$/)
    })
  )

  it.live("serves blobs whole, by their head and by one range", () =>
    Effect.gen(function* () {
      const { host, stats } = yield* withBlobs()
      const path = `/v2/team/app/blobs/${blob.digest}`
      const whole = yield* ask(host, path)
      assert.strictEqual(whole.status, 200)
      assert.deepStrictEqual(whole.body, Buffer.from(content))
      assert.strictEqual(whole.headers["docker-content-digest"], blob.digest)

      const head = yield* ask(host, path, { method: "HEAD" })
      assert.deepStrictEqual([head.status, head.headers["content-length"], head.body.length], [200, "300000", 0])

      for (const [range, start, end] of [
        ["bytes=0-0", 0, 1],
        ["bytes=1000-1999", 1000, 2000],
        ["bytes=299999-400000", 299_999, 300_000],
        ["bytes=290000-", 290_000, 300_000],
        ["bytes=-5", 299_995, 300_000]
      ] as const) {
        const part = yield* ask(host, path, { headers: { range } })
        assert.strictEqual(part.status, 206)
        assert.strictEqual(part.headers["content-range"], `bytes ${start}-${end - 1}/300000`)
        assert.deepStrictEqual(part.body, Buffer.from(content.subarray(start, end)))
      }
      const counted = yield* stats
      assert.deepStrictEqual([counted.requests, counted.rangeRequests], [7, 5])
      assert.strictEqual(counted.blobBytesServed, 300_000 + 1 + 1000 + 1 + 10_000 + 5)
    })
  )

  it.live("answers a range that is not there with 416, and one it does not know with everything", () =>
    Effect.gen(function* () {
      const { host } = yield* withBlobs()
      const path = `/v2/team/app/blobs/${blob.digest}`
      for (const range of ["bytes=300000-", "bytes=-0"]) {
        const { status, headers } = yield* ask(host, path, { headers: { range } })
        assert.deepStrictEqual([status, headers["content-range"]], [416, "bytes */300000"])
      }
      for (const range of ["bytes=0-1,5-6", "bytes=5-1", "lines=1-2", "bytes=-"]) {
        assert.strictEqual((yield* ask(host, path, { headers: { range } })).status, 200)
      }
    })
  )

  it.live("takes manifests and serves them by tag and by digest", () =>
    Effect.gen(function* () {
      const { host, store } = yield* withBlobs()
      const digest = digestOf(manifest)
      const put = yield* putManifest(host, "v1")
      assert.deepStrictEqual([put.status, put.headers["docker-content-digest"]], [201, digest])
      assert.strictEqual((yield* store.resolve("team/app:v1")).digest, digest)
      for (const reference of ["v1", digest, digest.replace(":", "%3A")]) {
        const got = yield* ask(host, `/v2/team/app/manifests/${reference}`)
        assert.strictEqual(got.status, 200)
        assert.strictEqual(got.headers["content-type"], MediaType.ociManifest)
        assert.deepStrictEqual(got.body, Buffer.from(manifest))
      }
      const other = yield* ask(host, "/v2/team/other/manifests/v1")
      assert.deepStrictEqual([other.status, codeOf(other.body)], [404, "MANIFEST_UNKNOWN"])
    })
  )

  it.live("refuses manifests that are none, are others than their digest says, or lack their blobs", () =>
    Effect.gen(function* () {
      const { host } = yield* withBlobs()
      const lacking = json({ ...JSON.parse(Buffer.from(manifest).toString()), layers: [descriptorOf(noise(5))] })
      for (const [reference, body, type, status, code] of [
        ["v1", json([]), MediaType.ociManifest, 400, "MANIFEST_INVALID"],
        ["v1", noise(100), MediaType.ociManifest, 400, "MANIFEST_INVALID"],
        ["v1", manifest, "text/plain", 400, "MANIFEST_INVALID"],
        ["v1", manifest, MediaType.ociIndex, 400, "MANIFEST_INVALID"],
        [digestOf(content), manifest, MediaType.ociManifest, 400, "DIGEST_INVALID"],
        ["v1", lacking, MediaType.ociManifest, 400, "MANIFEST_BLOB_UNKNOWN"],
        ["v1", new Uint8Array(4 * 1024 * 1024 + 1), MediaType.ociManifest, 400, "SIZE_INVALID"]
      ] as const) {
        const answer = yield* putManifest(host, reference, body, type)
        assert.deepStrictEqual([answer.status, codeOf(answer.body)], [status, code])
      }
    })
  )

  it.live("takes a blob in one request, in two, and in parts", () =>
    Effect.gen(function* () {
      const { host, store } = yield* embeddedRegistry()
      const start = "/v2/team/app/blobs/uploads/"
      const [one, two, three] = [noise(1000, 1), noise(1000, 2), noise(1000, 3)]

      const single = yield* ask(host, `${start}?digest=${digestOf(one)}`, { method: "POST", body: one })
      assert.strictEqual(single.status, 201)

      const begun = yield* ask(host, start, { method: "POST" })
      assert.strictEqual(begun.status, 202)
      const put = yield* ask(host, `${String(begun.headers["location"])}?digest=${digestOf(two)}`, {
        method: "PUT",
        body: two
      })
      assert.deepStrictEqual([put.status, put.headers["docker-content-digest"]], [201, digestOf(two)])

      const location = String((yield* ask(host, start, { method: "POST" })).headers["location"])
      const first = yield* ask(host, location, { method: "PATCH", body: three.subarray(0, 400) })
      assert.deepStrictEqual([first.status, first.headers["range"]], [202, "0-399"])
      const headers = { "content-range": "500-999" }
      const gap = yield* ask(host, location, { method: "PATCH", headers, body: three.subarray(500) })
      assert.deepStrictEqual([gap.status, gap.headers["range"]], [416, "0-399"])
      const second = yield* ask(host, location, { method: "PATCH", body: three.subarray(400, 900) })
      assert.strictEqual(second.status, 202)
      assert.strictEqual((yield* ask(host, location)).headers["range"], "0-899")
      const finished = yield* ask(host, `${location}?digest=${digestOf(three)}`, {
        method: "PUT",
        body: three.subarray(900)
      })
      assert.strictEqual(finished.status, 201)

      for (const bytes of [one, two, three]) assert.isTrue(yield* store.exists(digestOf(bytes)))
      assert.strictEqual((yield* ask(host, location)).status, 404)
    })
  )

  it.live("mounts a blob that it has, and starts an upload for one that it has not", () =>
    Effect.gen(function* () {
      const { host } = yield* withBlobs()
      const mount = (digest: string) =>
        ask(host, `/v2/team/other/blobs/uploads/?mount=${digest}&from=team/app`, { method: "POST" })
      assert.strictEqual((yield* mount(blob.digest)).status, 201)
      assert.strictEqual((yield* mount(digestOf(noise(5)))).status, 202)
    })
  )

  it.live("keeps nothing of an upload that is not what its digest says", () =>
    Effect.gen(function* () {
      const { host, store } = yield* embeddedRegistry({ uploads: { blobBytes: 2000 } })
      const upload = (body: Uint8Array, digest: string) =>
        ask(host, `/v2/team/app/blobs/uploads/?digest=${digest}`, { method: "POST", body })
      const wrong = yield* upload(noise(1000), digestOf(noise(1000, 2)))
      assert.deepStrictEqual([wrong.status, codeOf(wrong.body)], [400, "DIGEST_INVALID"])
      const large = yield* upload(noise(2001), digestOf(noise(2001)))
      assert.deepStrictEqual([large.status, codeOf(large.body)], [400, "SIZE_INVALID"])
      assert.isFalse(yield* store.exists(digestOf(noise(1000, 2))))
      assert.isFalse(yield* store.exists(digestOf(noise(2001))))
    })
  )

  it.live("has a limit on the uploads under way", () =>
    Effect.gen(function* () {
      const { host } = yield* embeddedRegistry({ uploads: { sessions: 2 } })
      const begin = ask(host, "/v2/a/blobs/uploads/", { method: "POST" })
      const first = yield* begin
      yield* begin
      assert.strictEqual((yield* begin).status, 429)
      assert.strictEqual((yield* ask(host, String(first.headers["location"]), { method: "DELETE" })).status, 204)
      assert.strictEqual((yield* begin).status, 202)
    })
  )

  it.live("lists tags of one repository, page by page", () =>
    Effect.gen(function* () {
      const { host } = yield* withBlobs()
      for (const tag of ["v1", "v3", "v2"]) yield* putManifest(host, tag)
      const list = (query: string) => ask(host, `/v2/team/app/tags/list${query}`)
      const all = yield* list("")
      assert.deepStrictEqual(JSON.parse(all.body.toString()), { name: "team/app", tags: ["v1", "v2", "v3"] })
      const page = yield* list("?n=2")
      assert.strictEqual(page.headers["link"], '</v2/team/app/tags/list?n=2&last=v2>; rel="next"')
      const rest = yield* list("?n=2&last=v2")
      assert.deepStrictEqual(JSON.parse(rest.body.toString()).tags, ["v3"])
      assert.isUndefined(rest.headers["link"])
      assert.strictEqual((yield* ask(host, "/v2/team/tags/list")).status, 404)
    })
  )

  it.live("lists referrers, filtered by their artifact type", () =>
    Effect.gen(function* () {
      const { host } = yield* withBlobs()
      yield* putManifest(host, "v1")
      const subject = descriptorOf(manifest, MediaType.ociManifest)
      const artifact = json({
        schemaVersion: 2,
        mediaType: MediaType.ociManifest,
        config: descriptorOf(config, MediaType.sociIndexV1),
        layers: [],
        subject
      })
      const put = yield* putManifest(host, digestOf(artifact), artifact)
      assert.strictEqual(put.headers["oci-subject"], subject.digest)
      const list = (type: string) =>
        ask(host, `/v2/team/app/referrers/${subject.digest}?artifactType=${encodeURIComponent(type)}`)
      const found = yield* list(MediaType.sociIndexV1)
      assert.strictEqual(found.headers["oci-filters-applied"], "artifactType")
      assert.deepStrictEqual(JSON.parse(found.body.toString()).manifests, [
        { ...descriptorOf(artifact, MediaType.ociManifest), artifactType: MediaType.sociIndexV1 }
      ])
      assert.deepStrictEqual(JSON.parse((yield* list("application/other")).body.toString()).manifests, [])
    })
  )

  it.live("lets no path lead out of its names, and no name be what it must not be", () =>
    Effect.gen(function* () {
      const { host } = yield* withBlobs()
      for (const [path, status] of [
        ["/", 404],
        ["/v2/app", 404],
        ["/v2/UPPER/manifests/v1", 400],
        [`/v2/${"a".repeat(256)}/manifests/v1`, 400],
        ["/v2/a/blobs/sha256:..%2f..%2fetc", 400],
        ["/v2/a%2f..%2fb/manifests/v1", 400],
        ["/v2/a/manifests/%2e%2e", 404],
        ["/v2/a/manifests/-x", 404],
        ["/v2/a/blobs/uploads/..%2f..%2fx", 404],
        ["/v2/a/blobs/uploads/0123", 404]
      ] as const) {
        assert.deepStrictEqual([path, (yield* ask(host, path)).status], [path, status])
      }
      const deleted = yield* ask(host, "/v2/a/manifests/v1", { method: "DELETE" })
      assert.deepStrictEqual([deleted.status, codeOf(deleted.body)], [405, "UNSUPPORTED"])
    })
  )

  it.live("ends with its scope, also while it is serving", () =>
    Effect.gen(function* () {
      const fetcher = yield* registryFetcher({ retries: 0 })
      const [host, serving] = yield* Effect.scoped(
        Effect.gen(function* () {
          const registry = yield* embeddedRegistry({ latency: "1 hour" })
          const exists = fetcher.exists({ host: registry.host, repository: "a" }, blob)
          const request = yield* Effect.forkChild(Effect.flip(exists))
          yield* Effect.repeat(Effect.andThen(Effect.sleep("5 millis"), registry.stats), {
            until: ({ requests }) => requests > 0
          })
          return [registry.host, request] as const
        })
      )
      assert.strictEqual((yield* Fiber.join(serving))._tag, "RegistryFailed")
      const refused = yield* Effect.flip(Effect.tryPromise(() => request(`http://${host}/v2/`)))
      assert.strictEqual(refused._tag, "UnknownError")
    }).pipe(Effect.timeout("10 seconds"))
  )
})

/**
 * Uploads: each blob once, what broke goes on, and what refers to others is found.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { MediaType } from "../../../src/services/MediaType.ts"
import { blob, content, in1, manifest, manifestBytes, status } from "../../support/blobServer.ts"
import { chunked, descriptorOf, json, noise } from "../../support/content.ts"
import { embeddedRegistry, embeddedRegistryOver } from "../../support/embeddedRegistry.ts"
import { faultServer } from "../../support/faultServer.ts"
import { registryFetcher } from "../../support/registryFetcher.ts"

describe("uploads", () => {
  it.live("of one blob at the same time are one upload", () =>
    Effect.gen(function* () {
      const { host, stats } = yield* embeddedRegistry({ latency: "10 millis" })
      const fetcher = yield* registryFetcher()
      const pushes = Array.from({ length: 6 }, () => fetcher.push(in1(host), blob, chunked(content, 50_000)))
      const outcomes = yield* Effect.all(pushes, { concurrency: "unbounded" })
      assert.deepStrictEqual(outcomes.toSorted(), ["present", "present", "present", "present", "present", "pushed"])
      assert.strictEqual((yield* stats).bytesReceived, content.length)
    })
  )

  it.live("that fail leave the next one its turn", () =>
    Effect.gen(function* () {
      const { host } = yield* embeddedRegistry()
      const fetcher = yield* registryFetcher()
      const begun = yield* Deferred.make<void>()
      const failing = Stream.fromEffect(Effect.andThen(Deferred.succeed(begun, undefined), Effect.fail("no" as const)))
      const outcomes = yield* Effect.all(
        [
          Effect.flip(fetcher.push(in1(host), blob, failing)),
          Effect.andThen(Deferred.await(begun), fetcher.push(in1(host), blob, chunked(content, 50_000)))
        ],
        { concurrency: 2 }
      )
      assert.deepStrictEqual(outcomes, ["no", "pushed"])
    })
  )

  it.live("end with their interruption, and leave the next one its turn", () =>
    Effect.gen(function* () {
      let closed = 0
      let seen = 0
      const server = yield* faultServer((request, response) => {
        if (request.method === "HEAD") return status(response, 404)
        if (request.method === "POST") return status(response, 202, { location: "/upload" })
        request.on("data", (chunk: Buffer) => (seen += chunk.length))
        return response.on("close", () => closed++)
      })
      const fetcher = yield* registryFetcher()
      for (const round of [1, 2]) {
        seen = 0
        const stuck = Stream.concat(Stream.make(content.subarray(0, 1000)), Stream.never)
        const pushing = yield* Effect.forkChild(fetcher.push(in1(server.host), blob, stuck))
        yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => seen > 0 })
        yield* Fiber.interrupt(pushing)
        yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => closed === round })
      }
    })
  )

  it.live("in parts send no byte twice that has arrived, and each part at its place", () =>
    Effect.gen(function* () {
      const { host, store, stats } = yield* embeddedRegistry({
        faults: [{ fault: { _tag: "ResetUpload", afterBytes: 40_000 }, method: "PATCH", after: 2, times: 1 }]
      })
      const fetcher = yield* registryFetcher({ uploadPartBytes: 64_000 })
      assert.strictEqual(yield* fetcher.push(in1(host), blob, chunked(content, 7000)), "pushed")
      assert.isTrue(yield* store.exists(blob.digest))
      assert.isAtMost((yield* stats).bytesReceived, content.length + 64_000)
    })
  )

  it.live("have parts as large as the registry wants them, and none where they would be larger than the blob", () =>
    Effect.gen(function* () {
      for (const [wanted, expected] of [
        ["150000", ["PATCH 0-149999", "PATCH 150000-299999", "PATCH 300000-399999", "PUT"]],
        ["500000", ["PUT"]]
      ] as const) {
        const server = yield* faultServer((request, response) => {
          const headers = { location: "/v2/team/app/blobs/uploads/1?state=a%2Fb", "oci-chunk-min-length": wanted }
          request.resume()
          request.on("end", () => {
            if (request.method === "HEAD") status(response, 404)
            else if (request.method === "PUT") status(response, 201)
            else status(response, 202, headers)
          })
        })
        const fetcher = yield* registryFetcher({ uploadPartBytes: 1000 })
        yield* fetcher.push(in1(server.host), blob, chunked(content, 50_000))
        const sent = server.seen
          .filter(({ method }) => method === "PATCH" || method === "PUT")
          .map(({ method, headers }) => `${method} ${headers["content-range"] ?? ""}`.trim())
        assert.deepStrictEqual(sent, [...expected])
        const last = server.seen.at(-1)?.url
        assert.strictEqual(last, `/v2/team/app/blobs/uploads/1?state=a%2Fb&digest=${encodeURIComponent(blob.digest)}`)
      }
    })
  )

  it.live("in parts complete nothing that is not what it should be", () =>
    Effect.gen(function* () {
      const { host, store } = yield* embeddedRegistry()
      const fetcher = yield* registryFetcher({ uploadPartBytes: 64_000 })
      for (const wrong of [noise(content.length, 2), content.subarray(1), Buffer.concat([content, noise(1)])]) {
        const error = yield* Effect.flip(fetcher.push(in1(host), blob, chunked(wrong, 50_000)))
        assert.strictEqual(error._tag, "RegistryFailed")
      }
      assert.isFalse(yield* store.exists(blob.digest))
    })
  )

  it.live("are spared by a mount, and made where the registry does not mount", () =>
    Effect.gen(function* () {
      for (const [code, outcome] of [
        [201, "mounted"],
        [202, "pushed"],
        [404, "pushed"],
        [405, "pushed"]
      ] as const) {
        const server = yield* faultServer((request, response) => {
          request.resume()
          if (request.method === "HEAD") status(response, 404)
          else if (request.method === "PUT") request.on("end", () => status(response, 201))
          else status(response, request.url?.includes("mount=") === true ? code : 202, { location: "/upload" })
        })
        const fetcher = yield* registryFetcher()
        const pushed = fetcher.push(in1(server.host), blob, chunked(content, 50_000), { mountFrom: "team/base" })
        assert.strictEqual(yield* pushed, outcome)
        const query = `mount=${encodeURIComponent(blob.digest)}&from=team%2Fbase`
        assert.strictEqual(server.seen[1]?.url, `/v2/team/app/blobs/uploads/?${query}`)
      }
    })
  )
})

describe("referrers", () => {
  it.live("entered under their tag by several clients at the same time are all there", () =>
    Effect.gen(function* () {
      const { host, store } = yield* embeddedRegistry({ referrersApi: false, latency: "2 millis" })
      yield* store.ingest(blob, Stream.make(content))
      const other = yield* embeddedRegistryOver(store, { referrersApi: false })
      const clients = yield* Effect.all([
        registryFetcher({ retries: 8 }),
        registryFetcher({ retries: 8 }),
        registryFetcher({ retries: 8 })
      ])
      const [first] = clients
      const config = json({})
      yield* first.push(in1(host), descriptorOf(config), Stream.make(config))
      yield* first.pushManifest(in1(host), manifest, manifestBytes)
      const artifacts = Array.from({ length: 12 }, (_, i) =>
        json({
          schemaVersion: 2,
          mediaType: MediaType.ociManifest,
          config: descriptorOf(config, "application/test"),
          layers: [],
          subject: manifest,
          annotations: { i: String(i) }
        })
      )
      yield* Effect.forEach(
        artifacts,
        (bytes, i) => {
          const client = clients[i % 3] ?? first
          const at = in1(i % 2 === 0 ? host : other.host)
          return client.pushManifest(at, descriptorOf(bytes, MediaType.ociManifest), bytes)
        },
        { concurrency: "unbounded" }
      )
      const found = yield* first.referrers(in1(host), manifest.digest, "application/test")
      assert.strictEqual(found.length, artifacts.length)
    })
  )

  it.live("are not entered by tag where the registry says that it has seen the subject", () =>
    Effect.gen(function* () {
      const server = yield* faultServer((_, response) => status(response, 201, { "oci-subject": manifest.digest }))
      const fetcher = yield* registryFetcher()
      const bytes = json({
        schemaVersion: 2,
        mediaType: MediaType.ociManifest,
        config: descriptorOf(json({})),
        layers: [],
        subject: manifest
      })
      yield* fetcher.pushManifest(in1(server.host), descriptorOf(bytes, MediaType.ociManifest), bytes)
      assert.strictEqual(server.seen.length, 1)
    })
  )

  it.live(
    "of other types are left out where the registry does not filter, and no page is taken from another host",
    () =>
      Effect.gen(function* () {
        const one = { ...descriptorOf(json(1), MediaType.ociManifest), artifactType: "a" }
        const two = { ...descriptorOf(json(2), MediaType.ociManifest), artifactType: "b" }
        const elsewhere = yield* faultServer((_, response) => status(response, 200))
        const server = yield* faultServer((_, response) => {
          const link = `<http://${elsewhere.host}/v2/next>; rel="next"`
          response.writeHead(200, { "content-type": MediaType.ociIndex, link })
          response.end(json({ schemaVersion: 2, manifests: [one, two] }))
        })
        const fetcher = yield* registryFetcher()
        assert.deepStrictEqual(yield* fetcher.referrers(in1(server.host), manifest.digest, "a"), [one])
        assert.strictEqual(elsewhere.seen.length, 0)
      })
  )
})

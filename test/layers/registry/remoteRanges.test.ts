import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { defaultEndpoint, systemTls } from "../../../src/layers/registry/registryEndpoint.ts"
import {
  answerWith,
  blob,
  breakAfter,
  bytesOf,
  expectContent,
  fetchFrom,
  first,
  in1,
  sendPart,
  sendWhole,
  serveContent,
  status
} from "../../support/blobServer.ts"
import { type Answer, faultServer } from "../../support/faultServer.ts"
import { registryFetcher } from "../../support/registryFetcher.ts"

describe("opened blobs", () => {
  const open = Effect.fnUntraced(function* (answer: Answer, options: Parameters<typeof registryFetcher>[0] = {}) {
    const server = yield* faultServer(answer)
    const registry = yield* registryFetcher(options)
    return { ...server, blob: yield* registry.open(in1(server.host), blob) }
  })

  it.live("are read by exact ranges, also across broken transfers", () =>
    Effect.gen(function* () {
      const { blob: opened, seen } = yield* open(first(serveContent, breakAfter(50_000)))
      expectContent(yield* bytesOf(opened.read(10_000, 300_000)), 10_000, 310_000)
      assert.deepStrictEqual(
        seen.map(({ headers }) => headers.range),
        ["bytes=0-0", "bytes=10000-309999", "bytes=60000-309999"]
      )
    })
  )

  it.live("are read by several ranges where one may not be so long", () =>
    Effect.gen(function* () {
      const { blob: opened, seen } = yield* open(first(serveContent, breakAfter(30_000)), { rangeBytes: 100_000 })
      expectContent(yield* bytesOf(opened.read(10_000, 250_000)), 10_000, 260_000)
      assert.deepStrictEqual(
        seen.map(({ headers }) => headers.range),
        ["bytes=0-0", "bytes=10000-109999", "bytes=40000-109999", "bytes=110000-209999", "bytes=210000-259999"]
      )
    })
  )

  it.live("are read over connections that are used again", () =>
    Effect.gen(function* () {
      const { blob: opened, connections, seen } = yield* open(serveContent)
      for (let i = 0; i < 10; i++)
        expectContent(yield* bytesOf(opened.read(i * 1000, 100_000)), i * 1000, i * 1000 + 100_000)
      // A connection may not yet be free again at the instant of the next request, but none is thrown away.
      assert.strictEqual(seen.length, 11)
      assert.isBelow(connections(), 5)
    })
  )

  it.live("are read from servers that know no ranges, by skipping", () =>
    Effect.gen(function* () {
      const { blob: opened } = yield* open(sendWhole, { requestsPerHost: 1 })
      expectContent(yield* bytesOf(opened.read(399_000, 1000)), 399_000, 400_000)
      expectContent(yield* bytesOf(opened.read(0, 10)), 0, 10)
    })
  )

  it.live("are read from a server that knows ranges as soon as another turned out not to", () =>
    Effect.gen(function* () {
      const whole = yield* faultServer(sendWhole)
      const ranges = yield* faultServer(serveContent)
      const endpoints = [whole, ranges].map(({ host }) => defaultEndpoint(host, { plainHttp: true, tls: systemTls }))
      const registry = yield* registryFetcher({ hosts: () => Effect.succeed(endpoints) })
      const opened = yield* registry.open(in1("registry.example"), blob)
      for (let i = 0; i < 5; i++) expectContent(yield* bytesOf(opened.read(i, 1000)), i, i + 1000)
      assert.deepStrictEqual([whole.seen.length, ranges.seen.length], [2, 5])
    })
  )

  it.live("are read elsewhere where a server has lost them meanwhile", () =>
    Effect.gen(function* () {
      const loses = yield* faultServer(first(serveContent, serveContent, answerWith(404), answerWith(404)))
      const keeps = yield* faultServer(serveContent)
      const endpoints = [loses, keeps].map(({ host }) => defaultEndpoint(host, { plainHttp: true, tls: systemTls }))
      const registry = yield* registryFetcher({ hosts: () => Effect.succeed(endpoints) })
      const opened = yield* registry.open(in1("registry.example"), blob)
      for (let i = 0; i < 5; i++) expectContent(yield* bytesOf(opened.read(i, 1000)), i, i + 1000)
      assert.deepStrictEqual([loses.seen.length, keeps.seen.length], [3, 5])
    })
  )

  it.live("are refused where another range, another size or several parts come back", () =>
    Effect.gen(function* () {
      for (const headers of [
        { "content-range": "bytes 0-9/400000" },
        { "content-range": "bytes 100-109/500000" },
        { "content-range": "bytes 100-110/400000" },
        { "content-type": "multipart/byteranges; boundary=x" }
      ]) {
        const { blob: opened } = yield* open(first(serveContent, sendPart(100, 110, headers)))
        const error = yield* Effect.flip(bytesOf(opened.read(100, 10)))
        assert.strictEqual(error._tag, "BlobReadFailed")
        assert.include(error.message, "[100, 110)")
      }
      const unknownSize = sendPart(100, 110, { "content-range": "bytes 100-109/*" })
      const { blob: opened } = yield* open(first(serveContent, unknownSize))
      expectContent(yield* bytesOf(opened.read(100, 10)), 100, 110)
    })
  )

  it.live("are not opened where the registry has another size under the digest, or nothing", () =>
    Effect.gen(function* () {
      const server = yield* faultServer((request, response) =>
        request.url?.includes("gone") ? status(response, 404) : serveContent(request, response)
      )
      const registry = yield* registryFetcher()
      const other = yield* Effect.flip(registry.open(in1(server.host), { ...blob, size: 5 }))
      assert.include(other.message, "has 400000 bytes there, its descriptor says 5")
      const gone = yield* Effect.flip(registry.open({ host: server.host, repository: "gone" }, blob))
      assert.strictEqual(gone._tag, "NotInRegistry")
    })
  )

  it.live("do not read beyond their end, and fail on 416", () =>
    Effect.gen(function* () {
      const { blob: opened } = yield* open(first(serveContent, answerWith(416)))
      assert.include((yield* Effect.flip(bytesOf(opened.read(399_999, 2)))).message, "has only 400000 bytes")
      assert.include((yield* Effect.flip(bytesOf(opened.read(0, 2)))).message, "not the one of 400000 bytes")
    })
  )

  it.live("are read where the registry redirects to, without its credentials, found again when that expires", () =>
    Effect.gen(function* () {
      let valid = 1
      let refuseAll = false
      const storage = yield* faultServer((request, response) =>
        request.url === `/signed?n=${valid}` && !refuseAll ? serveContent(request, response) : status(response, 403)
      )
      const registry = yield* faultServer((request, response) => {
        const { authorization } = request.headers
        if (authorization === undefined) return status(response, 401, { "www-authenticate": 'Basic realm="x"' })
        return status(response, 307, { location: `http://${storage.host}/signed?n=${valid}` })
      })
      const fetcher = yield* registryFetcher({ user: Redacted.make("me:secret") })
      const opened = yield* fetcher.open(in1(registry.host), blob)
      expectContent(yield* bytesOf(opened.read(5, 10)), 5, 15)
      assert.deepStrictEqual([registry.seen.length, storage.seen.length], [2, 2])

      valid = 2
      const reads = Array.from({ length: 8 }, (_, i) => bytesOf(opened.read(i, 10)))
      const parts = yield* Effect.all(reads, { concurrency: "unbounded" })
      parts.forEach((part, i) => expectContent(part, i, i + 10))
      assert.strictEqual(registry.seen.length, 3)
      for (const { headers } of storage.seen) assert.isUndefined(headers.authorization)

      refuseAll = true
      const failing = yield* fetcher.open(in1(registry.host), blob).pipe(Effect.flip)
      assert.notInclude(failing.message, "signed?")
      assert.notInclude(failing.message, "secret")
    })
  )

  it.live("follow no redirect without end, and none from TLS to plain HTTP", () =>
    Effect.gen(function* () {
      const { fetched, seen } = yield* fetchFrom((request, response) =>
        status(response, 302, { location: request.url ?? "" })
      )
      assert.include((yield* Effect.flip(fetched)).message, "redirects without end")
      assert.strictEqual(seen.length, 11)
      const file = yield* fetchFrom((_, response) => status(response, 302, { location: "file:///etc/passwd" }))
      assert.include((yield* Effect.flip(file.fetched)).message, "which is not safe")
    })
  )
})

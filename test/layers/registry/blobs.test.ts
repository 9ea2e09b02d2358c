import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import {
  answerWith,
  blob,
  breakAfter,
  bytesOf,
  content,
  expectContent,
  fetchFrom,
  first,
  in1,
  sendPart,
  sendShort,
  sendWhole,
  serveContent,
  stall
} from "../../support/blobServer.ts"
import { noise } from "../../support/content.ts"
import { type Answer, faultServer } from "../../support/faultServer.ts"
import { registryFetcher } from "../../support/registryFetcher.ts"

describe("fetching whole blobs", () => {
  it.live("goes on where a transfer broke off, again and again", () =>
    Effect.gen(function* () {
      const { fetched, seen } = yield* fetchFrom(first(breakAfter(100_000), breakAfter(0), breakAfter(150_000)))
      expectContent(yield* fetched)
      assert.deepStrictEqual(
        seen.map(({ headers }) => headers.range),
        [undefined, "bytes=100000-", "bytes=100000-", "bytes=250000-"]
      )
    })
  )

  it.live("uses a connection again", () =>
    Effect.gen(function* () {
      const { fetched, connections } = yield* fetchFrom(serveContent)
      for (let i = 0; i < 10; i++) expectContent(yield* fetched)
      assert.isBelow(connections(), 5)
    })
  )

  it.live("goes on after a body that ends early without a word", () =>
    Effect.gen(function* () {
      const { fetched, seen } = yield* fetchFrom(first(sendShort))
      expectContent(yield* fetched)
      assert.strictEqual(seen[1]?.headers.range, "bytes=1000-")
    })
  )

  it.live("skips what it has where a server sends everything again", () =>
    Effect.gen(function* () {
      const { fetched } = yield* fetchFrom(first(breakAfter(100_000), sendWhole))
      expectContent(yield* fetched)
    })
  )

  it.live("refuses a rest that begins elsewhere", () =>
    Effect.gen(function* () {
      const elsewhere = sendPart(0, content.length, { "content-range": "bytes 0-399999/400000" })
      const { fetched } = yield* fetchFrom(first(breakAfter(100_000), elsewhere))
      const error = yield* Effect.flip(fetched)
      assert.strictEqual(error._tag, "RegistryFailed")
      assert.include(error.message, "asked for bytes 100000-399999")
    })
  )

  it.live("gives up on a server that sends nothing, after the repetitions that were allowed", () =>
    Effect.gen(function* () {
      const { fetched, seen } = yield* fetchFrom(breakAfter(0), { retries: 2 })
      assert.strictEqual((yield* Effect.flip(fetched))._tag, "RegistryFailed")
      assert.strictEqual(seen.length, 3)
    })
  )

  it.live("does the same with one connection: a broken transfer holds no place", () =>
    Effect.gen(function* () {
      const { fetched } = yield* fetchFrom(first(breakAfter(100_000), breakAfter(100_000)), { requestsPerHost: 1 })
      expectContent(yield* Effect.timeout(fetched, "20 seconds"))
    })
  )

  it.live("refuses other content, and more of it than was promised", () =>
    Effect.gen(function* () {
      for (const wrong of [noise(content.length, 2), Buffer.concat([content, noise(1)])]) {
        const { fetched, seen } = yield* fetchFrom((_, response) => response.writeHead(200).end(wrong))
        assert.strictEqual((yield* Effect.flip(fetched))._tag, "ContentMismatch")
        assert.strictEqual(seen.length, 1)
      }
    })
  )

  it.live("says what is missing, forbidden or broken", () =>
    Effect.gen(function* () {
      const body = JSON.stringify({ errors: [{ code: "DENIED", message: "not\u0007 you" }] })
      for (const [code, tag, requests] of [
        [404, "NotInRegistry", 1],
        [401, "RegistryUnauthorized", 1],
        [403, "RegistryUnauthorized", 1],
        [418, "RegistryFailed", 1],
        [500, "RegistryFailed", 4],
        [501, "RegistryFailed", 1]
      ] as const) {
        const { fetched, seen } = yield* fetchFrom((_, response) => response.writeHead(code).end(body))
        const error = yield* Effect.flip(fetched)
        assert.deepStrictEqual([error._tag, seen.length], [tag, requests])
        if (code !== 404) assert.include(error.message, "DENIED: not  you")
      }
    })
  )

  it.live("waits as long as it is told to, but no longer than it was allowed", () =>
    Effect.gen(function* () {
      const busy = answerWith(503, { "retry-after": "100000" })
      const past = answerWith(429, { "retry-after": "Thu, 01 Jan 1970 00:00:00 GMT" })
      const { fetched } = yield* fetchFrom(first(busy, past))
      expectContent(yield* Effect.timeout(fetched, "10 seconds"))
    })
  )

  it.live("says when nobody listens, and when the server does not speak TLS", () =>
    Effect.gen(function* () {
      const registry = yield* registryFetcher({ retries: 1 })
      const host = yield* Effect.scoped(Effect.map(faultServer(serveContent), (server) => server.host))
      const error = yield* Effect.flip(bytesOf(registry.fetch(in1(host), blob)))
      assert.include(error.message, "nothing listens there")
      const server = yield* faultServer(serveContent)
      // A way to write this machine's address that is not taken for it.
      const tls = { host: server.host.replace("127.0.0.1", "0x7f.1"), repository: "a" }
      const plain = yield* Effect.flip(bytesOf(registry.fetch(tls, blob)))
      assert.include(plain.message, "http: server gave HTTP response to HTTPS client")
      assert.include(plain.message, "--plain-http")
      const allowed = yield* registryFetcher({ plainHttp: true })
      expectContent(yield* bytesOf(allowed.fetch(tls, blob)))
    })
  )

  it.live("ends the transfer when it is interrupted", () =>
    Effect.gen(function* () {
      let closed = false
      const endless: Answer = (_, response) => {
        response.on("close", () => (closed = true))
        response.writeHead(200, { "content-length": content.length })
        response.write(content.subarray(0, 1000))
      }
      const { registry, host } = yield* fetchFrom(endless)
      let came = 0
      const fetching = yield* Effect.forkChild(
        Stream.runForEach(registry.fetch(in1(host), blob), (chunk) => Effect.sync(() => (came += chunk.length)))
      )
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => came > 0 })
      yield* Fiber.interrupt(fetching)
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => closed })
    })
  )

  it.live("gives up on heads and bodies that do not come", () =>
    Effect.gen(function* () {
      const { fetched } = yield* fetchFrom(() => undefined, { retries: 0, headersTimeout: "50 millis" })
      assert.include((yield* Effect.flip(fetched)).message, "did not answer within 50 millis")
      const other = yield* fetchFrom(stall, { retries: 0, idleTimeout: "50 millis" })
      assert.include((yield* Effect.flip(other.fetched)).message, "no more of the body came within 50 millis")
    })
  )
})

/**
 * How servers are reached: connections that are used again, servers of this machine with and without TLS, proxies.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { readFile } from "node:fs/promises"
import { connect, createServer, type Socket } from "node:net"
import { proxiesOf, proxyFor } from "../../../src/layers/registry/proxy.ts"
import type { RegistryOptions } from "../../../src/layers/registry/registryOptions.ts"
import { blob, bytesOf, content, expectContent, in1, manifest, serveContent } from "../../support/blobServer.ts"
import { embeddedRegistry, embeddedRegistryOver } from "../../support/embeddedRegistry.ts"
import { faultServer } from "../../support/faultServer.ts"
import { hasProgram } from "../../support/programs.ts"
import { registryFetcher } from "../../support/registryFetcher.ts"
import { testAuthority } from "../../support/testAuthority.ts"

describe("connections", () => {
  it.live("are used again, whatever was asked through them: HEAD, ranges, uploads, refusals", () =>
    Effect.gen(function* () {
      const { host, store, stats } = yield* embeddedRegistry()
      yield* store.ingest(blob, Stream.make(content))
      const fetcher = yield* registryFetcher()
      const opened = yield* fetcher.open(in1(host), blob)
      for (let i = 0; i < 20; i++) {
        assert.isTrue(yield* fetcher.exists(in1(host), blob))
        assert.isFalse(yield* fetcher.exists(in1(host), manifest))
        yield* bytesOf(opened.read(i * 1000, 1000))
        assert.strictEqual(yield* fetcher.push(in1(host), blob, Stream.empty), "present")
      }
      const { requests, connections } = yield* stats
      assert.isAbove(requests, 80)
      // One more for finding out whether there is TLS. A connection may be busy for an instant after its answer was read.
      assert.isBelow(connections, 6)
    })
  )

  it.live("are no more to one host than were allowed, and all of them are closed in the end", () =>
    Effect.gen(function* () {
      let now = 0
      let most = 0
      const server = yield* faultServer((request, response) => {
        most = Math.max(most, ++now)
        response.on("close", () => now--)
        return serveContent(request, response)
      })
      yield* Effect.gen(function* () {
        const fetcher = yield* registryFetcher({ requestsPerHost: 3 })
        const fetches = Array.from({ length: 12 }, () => bytesOf(fetcher.fetch(in1(server.host), blob)))
        yield* Effect.all(fetches, { concurrency: "unbounded" })
      }).pipe(Effect.scoped)
      assert.isAtMost(most, 3)
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => now === 0 })
    })
  )
})

describe("a server of this machine that nobody configured", () => {
  it.live("is asked once whether it speaks TLS, and without it goes on in plain text", () =>
    Effect.gen(function* () {
      const { fetched, greetings } = yield* Effect.gen(function* () {
        const server = yield* faultServer(serveContent)
        const fetcher = yield* registryFetcher()
        const all = Array.from({ length: 5 }, () => bytesOf(fetcher.fetch(in1(server.host), blob)))
        const came = yield* Effect.all(all, { concurrency: "unbounded" })
        return { fetched: came, greetings: server.connections() - server.seen.length }
      })
      for (const bytes of fetched) expectContent(bytes)
      assert.isAtMost(greetings, 1)
    })
  )

  const needsOpenssl = !hasProgram("openssl")
  it.live.skipIf(needsOpenssl)(
    `is not spoken to in plain text if it speaks TLS, be it trusted or not${needsOpenssl ? " (skipped: no openssl)" : ""}`,
    () =>
      Effect.gen(function* () {
        const { server, authority } = yield* testAuthority
        const [certificate, key] = yield* Effect.promise(() =>
          Promise.all([readFile(server.certificate, "utf8"), readFile(server.key, "utf8")])
        )
        const { host, store } = yield* embeddedRegistry({ tls: { certificate, key } })
        yield* store.ingest(blob, Stream.make(content))
        const fetchWith = Effect.fnUntraced(function* (options: RegistryOptions) {
          const fetcher = yield* registryFetcher({ retries: 0, ...options })
          return yield* bytesOf(fetcher.fetch(in1(host), blob))
        })
        const { message } = yield* Effect.flip(fetchWith({}))
        assert.include(message, "not trusted")
        assert.include(message, "https://")
        expectContent(yield* fetchWith({ tls: { authorities: [authority], clients: [], skipVerify: false } }))
        // What speaks TLS leads to nothing that does not: no content, and no password.
        const trusting = { tls: { authorities: [authority], clients: [], skipVerify: false } }
        const elsewhere = yield* faultServer(serveContent)
        const challenge = { "www-authenticate": 'Bearer realm="http://token.example/"' }
        for (const [fault, expected] of [
          [{ _tag: "Redirect", origin: `http://${elsewhere.host}` }, "which is not safe"],
          [{ _tag: "Status", status: 401, headers: challenge }, "its token server does not"]
        ] as const) {
          const leading = yield* embeddedRegistryOver(store, { tls: { certificate, key }, faults: [{ fault }] })
          const fetcher = yield* registryFetcher({ ...trusting, retries: 0 })
          const refused = yield* Effect.flip(bytesOf(fetcher.fetch(in1(leading.host), blob)))
          assert.include(refused.message, expected)
        }
        assert.strictEqual(elsewhere.seen.length, 0)
        const plain = yield* Effect.flip(fetchWith({ plainHttp: true }))
        assert.strictEqual(plain._tag, "RegistryFailed")
      })
  )

  it.live("may have a name, or an address of version 6", () =>
    Effect.gen(function* () {
      const { host, store } = yield* embeddedRegistry()
      yield* store.ingest(blob, Stream.make(content))
      const fetcher = yield* registryFetcher()
      expectContent(yield* bytesOf(fetcher.fetch(in1(host.replace("127.0.0.1", "localhost")), blob)))
      const gone = yield* Effect.flip(bytesOf(fetcher.fetch(in1(host.replace("127.0.0.1", "[::1]")), blob)))
      assert.include(gone.message, `[::1]${host.replace("127.0.0.1", "")}`)
      assert.notInclude(gone.message, "not the name of a host")
    })
  )

  it.live("is not spoken to in plain text where TLS is demanded, and the error says what to do", () =>
    Effect.gen(function* () {
      const server = yield* faultServer(serveContent)
      const fetcher = yield* registryFetcher({ plainHttp: false })
      const { message } = yield* Effect.flip(bytesOf(fetcher.fetch(in1(server.host), blob)))
      assert.include(message, "http: server gave HTTP response to HTTPS client")
      assert.include(message, "--plain-http")
      assert.strictEqual(server.seen.length, 0)
    })
  )

  it.live("is not waited for if it never answers", () =>
    Effect.gen(function* () {
      const sockets = new Set<Socket>()
      const silent = createServer((socket) => {
        sockets.add(socket)
        socket.on("error", () => undefined)
      })
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => {
          silent.listen(0, "127.0.0.1", () => resume(Effect.void))
        }),
        () =>
          Effect.callback<void>((resume) => {
            for (const socket of sockets) socket.destroy()
            silent.close(() => resume(Effect.void))
          })
      )
      const address = silent.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      const fetcher = yield* registryFetcher({ retries: 0 })
      const { message } = yield* Effect.flip(
        Effect.timeout(fetcher.exists(in1(`127.0.0.1:${port}`), blob), "20 seconds")
      )
      assert.include(message, "does not answer to TLS")
    })
  )
})

describe("proxies", () => {
  const environment = {
    HTTPS_PROXY: "http://proxy.example:3128",
    http_proxy: "other.example:8080",
    NO_PROXY: "direct.example, .below.example 10.0.0.0/8,192.168.1.1,port.example:5000,[2001:db8::]/32,2001:db8::/32"
  }
  const proxies = proxiesOf(environment)

  for (const [url, expected] of [
    ["https://registry.example/v2/", "http://proxy.example:3128"],
    ["http://registry.example/v2/", "http://other.example:8080"],
    ["https://direct.example/", undefined],
    ["https://sub.direct.example:5000/", undefined],
    ["https://notdirect.example/", "http://proxy.example:3128"],
    ["https://below.example/", "http://proxy.example:3128"],
    ["https://a.below.example/", undefined],
    ["https://10.1.2.3/", undefined],
    ["https://11.1.2.3/", "http://proxy.example:3128"],
    ["https://192.168.1.1:5000/", undefined],
    ["https://port.example:5000/", undefined],
    ["https://port.example/", "http://proxy.example:3128"],
    ["https://[2001:db8::1]/", undefined],
    ["https://localhost:5000/", undefined],
    ["http://127.0.0.1:5000/", undefined],
    ["https://[::1]/", undefined]
  ] as const) {
    it(`of the environment: ${url} goes ${expected === undefined ? "directly" : `through ${expected}`}`, () => {
      assert.strictEqual(proxyFor(new URL(url), proxies), expected)
    })
  }

  it("are overruled by a star, and may be used for this machine if that is wanted", () => {
    assert.isUndefined(proxyFor(new URL("https://a.example"), { ...proxies, none: ["*"] }))
    assert.isDefined(proxyFor(new URL("https://localhost"), { ...proxies, loopback: true }))
  })

  /** Lets connections through to where they want. */
  const tunnel = Effect.gen(function* () {
    const asked: Array<string> = []
    const server = createServer((socket) => {
      socket.on("error", () => undefined)
      socket.once("data", (head) => {
        const text = head.toString("latin1")
        asked.push(text)
        const [, host = "", port = ""] = /^CONNECT ([^:]+):(\d+) /.exec(text) ?? []
        const upstream = connect(Number(port), host, () => socket.write("HTTP/1.1 200 OK\r\n\r\n"))
        upstream.on("error", () => socket.destroy())
        socket.pipe(upstream).pipe(socket)
      })
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
    )
    const address = server.address()
    return { asked, port: typeof address === "object" && address !== null ? address.port : 0 }
  })

  it.live("carry requests without TLS too", () =>
    Effect.gen(function* () {
      const proxy = yield* faultServer(serveContent)
      const fetcher = yield* registryFetcher({
        plainHttp: true,
        proxies: { http: `http://${proxy.host}`, https: undefined, none: [], loopback: false }
      })
      expectContent(yield* bytesOf(fetcher.fetch(in1("registry.example"), blob)))
      assert.include(proxy.seen[0]?.url, "http://registry.example/v2/team/app/blobs/sha256:")
    })
  )

  it.live.skipIf(!hasProgram("openssl"))("carry requests, and get the password that is in their URL", () =>
    Effect.gen(function* () {
      const { server, authority } = yield* testAuthority
      const { asked, port } = yield* tunnel
      const [certificate, key] = yield* Effect.promise(() =>
        Promise.all([readFile(server.certificate, "utf8"), readFile(server.key, "utf8")])
      )
      const { host, store } = yield* embeddedRegistry({ tls: { certificate, key } })
      yield* store.ingest(blob, Stream.make(content))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const fetcher = yield* registryFetcher({
            tls: { authorities: [authority], clients: [], skipVerify: false },
            proxies: { http: undefined, https: `http://me:secret@127.0.0.1:${port}`, none: [], loopback: true }
          })
          expectContent(yield* bytesOf(fetcher.fetch(in1(host), blob)))
        })
      )
      assert.include(asked[0], `CONNECT ${host} `)
      assert.include(asked[0], `Basic ${Buffer.from("me:secret").toString("base64")}`)
    })
  )
})

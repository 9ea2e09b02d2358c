/**
 * Which servers are asked for a host, in which order, and what is made of those that fail.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Result, Stream } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { Fault } from "../../../src/layers/embedded/faults.ts"
import type { RegistryOptions } from "../../../src/layers/registry/registryOptions.ts"
import { parseResolver } from "../../../src/layers/registry/resolverMirrors.ts"
import { blob, bytesOf, content, expectContent, manifest, manifestBytes, status } from "../../support/blobServer.ts"
import { descriptorOf, json } from "../../support/content.ts"
import { embeddedRegistry } from "../../support/embeddedRegistry.ts"
import { faultServer } from "../../support/faultServer.ts"
import { registryFetcher } from "../../support/registryFetcher.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const config = json({})

/** A registry that holds the content; with a fault, one that always has it. */
const registry = Effect.fnUntraced(function* (fault?: Fault) {
  const { store, host, stats } = yield* embeddedRegistry(fault === undefined ? {} : { faults: [{ fault }] })
  yield* store.ingest(blob, Stream.make(content))
  yield* store.ingest(descriptorOf(config), Stream.make(config))
  yield* store.ingest(manifest, Stream.make(manifestBytes))
  yield* store.tag(manifest, "team/app:v1")
  return { store, host, stats, requests: Effect.map(stats, ({ requests }) => requests) }
})

const hostsFile = (text: string) =>
  Effect.gen(function* () {
    const directory = yield* temporaryDirectory
    yield* Effect.promise(() => fs.mkdir(path.join(directory, "registry.example")))
    yield* Effect.promise(() => fs.writeFile(path.join(directory, "registry.example/hosts.toml"), text))
    return directory
  })

const repository = { host: "registry.example", repository: "team/app" }
const reference = { _tag: "Registry", ...repository, tag: "v1", digest: undefined } as const

/** Everything that is read of an image. */
const readAll = Effect.fnUntraced(function* (options: RegistryOptions) {
  const fetcher = yield* registryFetcher({ retries: 1, ...options })
  assert.strictEqual((yield* fetcher.resolve(reference)).digest, manifest.digest)
  assert.strictEqual((yield* fetcher.fetchManifest(repository, manifest)).length, manifest.size)
  expectContent(yield* bytesOf(fetcher.fetch(repository, blob)))
  const opened = yield* fetcher.open(repository, blob)
  expectContent(yield* bytesOf(opened.read(100, 1000)), 100, 1100)
  expectContent(yield* bytesOf(opened.read(200, 1000)), 200, 1200)
  assert.deepStrictEqual(yield* fetcher.referrers(repository, manifest.digest, "none"), [])
})

describe("mirrors", () => {
  it.live("are asked first, in their order, and told which host is meant", () =>
    Effect.gen(function* () {
      const server = yield* registry()
      const mirror = yield* registry()
      const hosts = yield* hostsFile(`server = "http://${server.host}"\n[host."http://${mirror.host}"]\n`)
      yield* readAll({ hostsDirectory: hosts })
      // Only that there are no referrers is the registry's own word.
      assert.strictEqual(yield* server.requests, 1)
      const asked = yield* faultServer((_, response) => status(response, 404))
      const naming = yield* hostsFile(`server = "http://${server.host}"\n[host."http://${asked.host}/cache"]\n`)
      const fetcher = yield* registryFetcher({ hostsDirectory: naming })
      yield* fetcher.resolve(reference)
      assert.strictEqual(asked.seen[0]?.url, "/cache/v2/team/app/manifests/v1?ns=registry.example")
    })
  )

  const status503 = { _tag: "Status", status: 503 } as const
  for (const [name, fault] of [
    ["answers 503", status503],
    ["answers 404", { _tag: "Status", status: 404 }],
    ["answers 401", { _tag: "Status", status: 401, headers: { "www-authenticate": "Basic" } }],
    ["answers 429", { _tag: "Status", status: 429, headers: { "retry-after": "3600" } }],
    ["does not answer", { _tag: "Latency", duration: "1 minute" }],
    ["breaks off each body", { _tag: "Reset", afterBytes: 10 }],
    ["sends short bodies", { _tag: "ShortBody", bytes: 10 }],
    ["names another range", { _tag: "WrongContentRange", contentRange: "bytes 5-6/7" }],
    ["knows no ranges", { _tag: "WholeForRange" }],
    ["lets bodies drip", { _tag: "SlowDrip", bytes: 1, every: "1 minute" }]
  ] satisfies ReadonlyArray<readonly [string, Fault]>) {
    it.live(`give way to the registry where one ${name}`, () =>
      Effect.gen(function* () {
        const server = yield* registry()
        const mirror = yield* registry(fault)
        const parsed = parseResolver({
          host: { "registry.example": { mirrors: [{ host: mirror.host, insecure: true, request_timeout_sec: 1 }] } }
        })
        const hostsDirectory = yield* hostsFile(`server = "http://${server.host}"`)
        const mirrors = Result.getOrThrow(parsed)
        yield* Effect.timeout(readAll({ hostsDirectory, mirrors, idleTimeout: "200 millis" }), "20 seconds")
        assert.isAbove(yield* mirror.requests, 0)
      })
    )
  }

  it.live("that cannot be reached are left alone for a while", () =>
    Effect.gen(function* () {
      const server = yield* registry()
      const gone = yield* faultServer((_, response) => status(response, 503))
      const hosts = yield* hostsFile(`server = "http://${server.host}"\n[host."http://${gone.host}"]\n`)
      const fetcher = yield* registryFetcher({ hostsDirectory: hosts })
      for (let i = 0; i < 5; i++) expectContent(yield* bytesOf(fetcher.fetch(repository, blob)))
      assert.strictEqual(gone.seen.length, 1)
    })
  )

  it.live("cannot hide what the registry says: its error counts, theirs is kept with it", () =>
    Effect.gen(function* () {
      const empty = yield* embeddedRegistry()
      const mirror = yield* registry(status503)
      const hosts = yield* hostsFile(`server = "http://${empty.host}"\n[host."http://${mirror.host}"]\n`)
      const fetcher = yield* registryFetcher({ hostsDirectory: hosts, retries: 0 })
      const error = yield* Effect.flip(fetcher.resolve(reference))
      assert.strictEqual(error._tag, "NotInRegistry")
      assert.include(error.message, `before: mirror ${mirror.host}`)
      assert.include(error.message, "503")
    })
  )

  it.live("with other content under the digest give way too", () =>
    Effect.gen(function* () {
      const server = yield* registry()
      const liar = yield* faultServer((_, response) => response.end("{}"))
      const hosts = yield* hostsFile(`server = "http://${server.host}"\n[host."http://${liar.host}"]\n`)
      const fetcher = yield* registryFetcher({ hostsDirectory: hosts })
      assert.strictEqual((yield* fetcher.fetchManifest(repository, manifest)).length, manifest.size)
    })
  )

  it.live("with wrong bytes are not asked when the blob is fetched again, nor those with pages of their own", () =>
    Effect.gen(function* () {
      const server = yield* registry()
      const liar = yield* registry({ _tag: "WrongBytes" })
      const portal = yield* faultServer((_, response) => response.end("<html>Please log in</html>"))
      const hosts = yield* hostsFile(
        `server = "http://${server.host}"\n[host."http://${portal.host}"]\n[host."http://${liar.host}"]\n`
      )
      const fetcher = yield* registryFetcher({ hostsDirectory: hosts })
      assert.strictEqual((yield* Effect.flip(bytesOf(fetcher.fetch(repository, blob))))._tag, "ContentMismatch")
      expectContent(yield* bytesOf(fetcher.fetch(repository, blob)))
      assert.deepStrictEqual([portal.seen.length, yield* liar.requests], [1, 1])
    })
  )

  it.live("get no uploads, and do not count as having what is to be pushed", () =>
    Effect.gen(function* () {
      const server = yield* embeddedRegistry()
      const mirror = yield* registry()
      const puller = `[host."http://${mirror.host}"]\ncapabilities = ["pull", "resolve"]\n`
      const hosts = yield* hostsFile(`server = "http://${server.host}"\n${puller}`)
      const fetcher = yield* registryFetcher({ hostsDirectory: hosts })
      assert.isFalse(yield* fetcher.exists(repository, blob))
      assert.strictEqual(yield* fetcher.push(repository, blob, Stream.make(content)), "pushed")
      assert.isTrue(yield* server.store.exists(blob.digest))
      assert.strictEqual(yield* mirror.requests, 0)
      const readOnly = yield* hostsFile(`server = "http://${server.host}"\ncapabilities = ["pull"]\n`)
      const reader = yield* registryFetcher({ hostsDirectory: readOnly })
      const error = yield* Effect.flip(reader.push(repository, blob, Stream.make(content)))
      assert.include(error.message, "no server of registry.example may be used to push")
    })
  )

  it.live("that take uploads get them, the first one before the registry, as with containerd", () =>
    Effect.gen(function* () {
      const server = yield* embeddedRegistry()
      const taker = yield* embeddedRegistry()
      const hosts = yield* hostsFile(`server = "http://${server.host}"\n[host."http://${taker.host}"]\n`)
      const fetcher = yield* registryFetcher({ hostsDirectory: hosts, uploadPartBytes: 100_000 })
      assert.strictEqual(yield* fetcher.push(repository, blob, Stream.make(content)), "pushed")
      assert.isTrue(yield* taker.store.exists(blob.digest))
      assert.strictEqual((yield* server.stats).requests, 0)
    })
  )

  it.live("get neither the password nor the headers of the registry, nor it theirs", () =>
    Effect.gen(function* () {
      const challenge = { "www-authenticate": "Basic" }
      const mirror = yield* faultServer((_, response) => status(response, 401, challenge))
      const server = yield* faultServer((request, response) =>
        request.headers.authorization === undefined ? status(response, 401, challenge) : status(response, 404)
      )
      const hosts = yield* hostsFile(
        `server = "http://${server.host}"\n[header]\nx-server = "s"\n` +
          `[host."http://${mirror.host}"]\n[host."http://${mirror.host}".header]\nx-mirror = ["a", "b"]\n`
      )
      const fetcher = yield* registryFetcher({ hostsDirectory: hosts, user: Redacted.make("me:secret") })
      yield* Effect.flip(fetcher.resolve(reference))
      assert.isAbove(mirror.seen.length, 0)
      for (const { headers } of mirror.seen) {
        assert.deepStrictEqual(
          [headers["authorization"], headers["x-server"], headers["x-mirror"]],
          [undefined, undefined, "a, b"]
        )
      }
      assert.deepStrictEqual(
        server.seen.map(({ headers }) => [
          headers["authorization"] === undefined,
          headers["x-server"],
          headers["x-mirror"]
        ]),
        [
          [true, "s", undefined],
          [false, "s", undefined]
        ]
      )
    })
  )
})

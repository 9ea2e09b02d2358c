import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { TestClock } from "effect/testing"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { blob, bytesOf, expectContent, in1, serveContent, status } from "../../support/blobServer.ts"
import { faultServer } from "../../support/faultServer.ts"
import { registryFetcher } from "../../support/registryFetcher.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

describe("credentials", () => {
  const tokenRegistry = Effect.fnUntraced(function* () {
    let issued = 0
    const accepted = new Set<string>()
    const tokenServer = yield* faultServer((request, response) => {
      const basic = `Basic ${Buffer.from("me:secret").toString("base64")}`
      if (request.headers.authorization !== basic) return void status(response, 401)
      const token = `token-${++issued}`
      accepted.add(`Bearer ${token}`)
      return void response.end(JSON.stringify({ token, expires_in: 300 }))
    })
    const registry = yield* faultServer((request, response) => {
      if (accepted.has(request.headers.authorization ?? "")) return serveContent(request, response)
      const challenge = `Bearer realm="http://${tokenServer.host}/token",service="reg",scope="repository:team/app:pull"`
      return void status(response, 401, { "www-authenticate": challenge })
    })
    return { tokenServer, registry, forget: () => accepted.clear() }
  })

  it.live("buys one token for any number of requests, and a new one when it is refused", () =>
    Effect.gen(function* () {
      const { tokenServer, registry, forget } = yield* tokenRegistry()
      const fetcher = yield* registryFetcher({ user: Redacted.make("me:secret"), requestsPerHost: 4 })
      const fetchAll = Effect.all(
        Array.from({ length: 8 }, () => bytesOf(fetcher.fetch(in1(registry.host), blob))),
        { concurrency: "unbounded" }
      )
      for (const bytes of yield* fetchAll) expectContent(bytes)
      assert.strictEqual(tokenServer.seen.length, 1)
      assert.strictEqual(tokenServer.seen[0]?.url, "/token?service=reg&scope=repository%3Ateam%2Fapp%3Apull")
      forget()
      yield* fetchAll
      assert.strictEqual(tokenServer.seen.length, 2)
    })
  )

  it.effect("buys a new token when the old one is about to expire, before it is refused", () =>
    Effect.gen(function* () {
      const { tokenServer, registry } = yield* tokenRegistry()
      const fetcher = yield* registryFetcher({ user: Redacted.make("me:secret") })
      for (const [wait, tokens] of [
        ["0 seconds", 1],
        ["290 seconds", 1],
        ["10 seconds", 2]
      ] as const) {
        yield* TestClock.adjust(wait)
        expectContent(yield* bytesOf(fetcher.fetch(in1(registry.host), blob)))
        assert.strictEqual(tokenServer.seen.length, tokens)
      }
      assert.strictEqual(registry.seen.length, 4)
    })
  )

  it.live("exchanges identity tokens, from the Docker configuration and from helpers, by POST", () =>
    Effect.gen(function* () {
      const server = yield* faultServer((request, response) => {
        if (request.headers.authorization === "Bearer bought") return serveContent(request, response)
        if (request.method !== "POST") {
          const realm = `Bearer realm="http://${request.headers.host}/token",service="s"`
          return status(response, 401, { "www-authenticate": realm })
        }
        let form = ""
        request.on("data", (chunk: Buffer) => (form += chunk.toString()))
        return request.on("end", () =>
          new URLSearchParams(form).get("refresh_token") === "identity-1"
            ? response.end(JSON.stringify({ access_token: "bought" }))
            : status(response, 401)
        )
      })
      const directory = yield* temporaryDirectory
      const helper = path.join(directory, "docker-credential-identity")
      const script = `#!/bin/sh\necho '{"ServerURL":"x","Username":"<token>","Secret":"identity-1"}'\n`
      yield* Effect.promise(() => fs.writeFile(helper, script, { mode: 0o755 }))
      const before = process.env["PATH"]
      yield* Effect.acquireRelease(
        Effect.sync(() => (process.env["PATH"] = `${directory}:${before}`)),
        () => Effect.sync(() => (process.env["PATH"] = before))
      )
      const auth = Buffer.from("00000000-0000-0000-0000-000000000000:").toString("base64")
      for (const config of [
        { auths: { [server.host]: { auth, identitytoken: "identity-1" } } },
        { credHelpers: { [server.host]: "identity" } }
      ]) {
        yield* Effect.promise(() => fs.writeFile(path.join(directory, "config.json"), JSON.stringify(config)))
        const fetcher = yield* registryFetcher({ dockerConfigDirectory: directory })
        expectContent(yield* bytesOf(fetcher.fetch(in1(server.host), blob)))
      }
    })
  )

  it.live("finds a place for the token's request where there is only one", () =>
    Effect.gen(function* () {
      const server = yield* faultServer((request, response) => {
        const challenge = { "www-authenticate": `Bearer realm="http://${request.headers.host}/token"` }
        if (request.url?.startsWith("/token")) response.end(JSON.stringify({ access_token: "t" }))
        else if (request.headers.authorization === "Bearer t") serveContent(request, response)
        else status(response, 401, challenge)
      })
      const fetcher = yield* registryFetcher({ requestsPerHost: 1 })
      expectContent(yield* Effect.timeout(bytesOf(fetcher.fetch(in1(server.host), blob)), "20 seconds"))
    })
  )

  it.live("tells of a wrong password without telling the password", () =>
    Effect.gen(function* () {
      const { registry } = yield* tokenRegistry()
      const fetcher = yield* registryFetcher({ user: Redacted.make("me:wrong-secret") })
      const error = yield* Effect.flip(bytesOf(fetcher.fetch(in1(registry.host), blob)))
      assert.strictEqual(error._tag, "RegistryUnauthorized")
      assert.notInclude(JSON.stringify(error) + String(error), "wrong-secret")
    })
  )

  it.live("come from the Docker configuration, and from the helpers it names", () =>
    Effect.gen(function* () {
      const wanted = `Basic ${Buffer.from("me:se:cret").toString("base64")}`
      const server = yield* faultServer((request, response) =>
        request.headers.authorization === wanted
          ? serveContent(request, response)
          : status(response, 401, { "www-authenticate": "basic" })
      )
      const directory = yield* temporaryDirectory
      const use = Effect.fnUntraced(function* (config: object) {
        yield* Effect.promise(() => fs.writeFile(path.join(directory, "config.json"), JSON.stringify(config)))
        const fetcher = yield* registryFetcher({ dockerConfigDirectory: directory })
        return yield* bytesOf(fetcher.fetch(in1(server.host), blob))
      })
      const auth = Buffer.from("me:se:cret").toString("base64")
      expectContent(yield* use({ auths: { [server.host]: { auth } } }))
      expectContent(yield* use({ auths: { [`https://${server.host}/v2/`]: { auth } } }))
      assert.strictEqual((yield* Effect.flip(use({ auths: { other: { auth } } })))._tag, "RegistryUnauthorized")

      const helper = path.join(directory, "docker-credential-test")
      const script = `#!/bin/sh\nread server\n[ "$server" = "${server.host}" ] && echo '{"ServerURL":"x","Username":"me","Secret":"se:cret"}'\n`
      yield* Effect.promise(() => fs.writeFile(helper, script, { mode: 0o755 }))
      const before = process.env["PATH"]
      yield* Effect.acquireRelease(
        Effect.sync(() => (process.env["PATH"] = `${directory}:${before}`)),
        () => Effect.sync(() => (process.env["PATH"] = before))
      )
      expectContent(yield* use({ credHelpers: { [server.host]: "test" } }))
      expectContent(yield* use({ credsStore: "test" }))
      const evil = yield* Effect.flip(use({ credsStore: "../../bin/sh" }))
      assert.strictEqual(evil._tag, "RegistryUnauthorized")
    })
  )
})

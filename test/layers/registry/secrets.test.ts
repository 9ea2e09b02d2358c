/**
 * What must be seen by nobody: passwords, tokens and signatures, in errors, logs and what `--http-dump` shows; and who gets them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Logger, Option, Redacted, References, Stream } from "effect"
import { inspect } from "node:util"
import { formatExchange, redactHeaders, redactUrl } from "../../../src/layers/registry/exchangeLog.ts"
import type { RegistryOptions } from "../../../src/layers/registry/registryOptions.ts"
import { blob, bytesOf, content, expectContent, in1, manifest, serveContent, status } from "../../support/blobServer.ts"
import { type Answer, faultServer } from "../../support/faultServer.ts"
import { registryFetcher } from "../../support/registryFetcher.ts"

const secrets = ["pass-word-1", "token-2", "signature-3", "refresh-4", Buffer.from("me:pass-word-1").toString("base64")]

/** A registry with a token server, that redirects blobs to a storage by URLs with signatures. */
const signedRegistry = Effect.fnUntraced(function* (broken: Answer | undefined) {
  const storage = yield* faultServer((request, response) =>
    broken === undefined ? serveContent(request, response) : broken(request, response)
  )
  const registry = yield* faultServer((request, response) => {
    const { authorization } = request.headers
    if (request.url?.startsWith("/token")) {
      const basic = `Basic ${Buffer.from("me:pass-word-1").toString("base64")}`
      if (authorization !== basic) return void status(response, 401)
      return void response.end(JSON.stringify({ token: "token-2" }))
    }
    if (authorization !== "Bearer token-2") {
      const realm = `Bearer realm="http://${request.headers.host}/token"`
      return void status(response, 401, { "www-authenticate": realm })
    }
    if (request.method !== "GET") return void status(response, 500)
    return void status(response, 307, { location: `http://${storage.host}/blob?sig=signature-3#signature-3` })
  })
  return { storage, registry }
})

const reference = (host: string) =>
  ({ _tag: "Registry", host, repository: "team/app", tag: "v1", digest: undefined }) as const

const note = (lines: Array<string>) => (error: unknown) =>
  Effect.sync(
    () => void lines.push(inspect(error, { depth: 20, showHidden: true }), String(error), JSON.stringify(error))
  )

/** Everything that can be seen of all operations, whatever comes of them. */
const seenOf = Effect.fnUntraced(function* (host: string, options: RegistryOptions) {
  const lines: Array<string> = []
  const logger = Logger.make((entry) => void lines.push(inspect(entry, { depth: 20 }) + Cause.pretty(entry.cause)))
  const attempt = Effect.gen(function* () {
    const fetcher = yield* registryFetcher({
      retries: 1,
      ...options,
      onExchange: (event) => Effect.sync(() => void lines.push(...formatExchange(event, true), inspect(event)))
    })
    const repository = in1(host)
    yield* Effect.catch(bytesOf(fetcher.fetch(repository, blob)), note(lines))
    yield* Effect.catch(
      Effect.flatMap(fetcher.open(repository, blob), (opened) => bytesOf(opened.read(0, 10))),
      note(lines)
    )
    yield* Effect.catch(fetcher.resolve(reference(host)), note(lines))
    yield* Effect.catch(fetcher.push(repository, blob, Stream.make(content)), note(lines))
    yield* Effect.catch(fetcher.referrers(repository, manifest.digest, "a"), note(lines))
  })
  yield* attempt.pipe(
    Effect.scoped,
    Effect.provide(Logger.layer([logger])),
    Effect.provideService(References.MinimumLogLevel, "Trace")
  )
  return lines
})

describe("secrets", () => {
  for (const [name, broken, user] of [
    ["all goes well", undefined, "me:pass-word-1"],
    ["the storage refuses", (_, response) => void status(response, 403), "me:pass-word-1"],
    ["the storage breaks off", (_, response) => void response.destroy(), "me:pass-word-1"],
    ["the password is wrong", undefined, "you:pass-word-1"],
    [
      "the server repeats what it was sent",
      (request, response) => {
        response.writeHead(400)
        response.end(
          JSON.stringify({ errors: [{ code: "BAD", message: `${request.url} ${request.headers.authorization}` }] })
        )
      },
      "me:pass-word-1"
    ]
  ] satisfies ReadonlyArray<readonly [string, Answer | undefined, string]>) {
    it.live(`appear in no error, no log and no trace where ${name}`, () =>
      Effect.gen(function* () {
        const { registry } = yield* signedRegistry(broken)
        const lines = yield* seenOf(registry.host, { user: Redacted.make(user) })
        assert.isAbove(lines.length, 10)
        for (const secret of secrets) {
          assert.deepStrictEqual(
            lines.filter((line) => line.includes(secret)),
            []
          )
        }
      })
    )
  }

  it.live("go to the host they are for: another password for each, and none to where a host leads", () =>
    Effect.gen(function* () {
      const challenge = { "www-authenticate": "Basic" }
      const storage = yield* faultServer(serveContent)
      const needs = (request: Parameters<Answer>[0], response: Parameters<Answer>[1]) =>
        request.headers.authorization === undefined
          ? status(response, 401, challenge)
          : status(response, 307, { location: `http://${storage.host}/` })
      const one = yield* faultServer(needs)
      const two = yield* faultServer(needs)
      const fetcher = yield* registryFetcher({
        credentials: (host) => Effect.succeed(Option.some({ username: host, password: Redacted.make("p") }))
      })
      for (const { host } of [one, two, one]) expectContent(yield* bytesOf(fetcher.fetch(in1(host), blob)))
      for (const { host, seen } of [one, two]) {
        const sent = new Set(seen.map(({ headers }) => headers.authorization).filter((header) => header !== undefined))
        assert.deepStrictEqual([...sent], [`Basic ${Buffer.from(`${host}:p`).toString("base64")}`])
      }
      for (const { headers } of storage.seen) assert.isUndefined(headers.authorization)
    })
  )

  it.live("given by --user go to the host that they are for, where a command talks to several", () =>
    Effect.gen(function* () {
      const challenge = { "www-authenticate": "Basic" }
      const refuses: Answer = (_, response) => void status(response, 401, challenge)
      const target = yield* faultServer(refuses)
      const source = yield* faultServer(refuses)
      const fetcher = yield* registryFetcher({ user: Redacted.make("me:secret"), userHost: target.host })
      for (const { host } of [source, target]) yield* Effect.flip(fetcher.resolve(reference(host)))
      assert.deepStrictEqual([source.seen.length, target.seen.length], [1, 2])
    })
  )

  it.live("are asked for anew where a registry says that they have expired, also by 403", () =>
    Effect.gen(function* () {
      const expired = JSON.stringify({
        errors: [{ code: "DENIED", message: "Your authorization token has expired. Reauthenticate and try again." }]
      })
      let valid = 1
      const server = yield* faultServer((request, response) => {
        const wanted = `Basic ${Buffer.from(`AWS:${valid}`).toString("base64")}`
        if (request.headers.authorization === wanted) return serveContent(request, response)
        if (request.headers.authorization === undefined) {
          return status(response, 401, { "www-authenticate": "Basic" })
        }
        return response.writeHead(403).end(expired)
      })
      const fetcher = yield* registryFetcher({
        credentials: () => Effect.succeed(Option.some({ username: "AWS", password: Redacted.make(String(valid)) }))
      })
      expectContent(yield* bytesOf(fetcher.fetch(in1(server.host), blob)))
      valid = 2
      expectContent(yield* bytesOf(fetcher.fetch(in1(server.host), blob)))
      assert.strictEqual(server.seen.length, 4)
    })
  )

  it.live("of the Docker configuration may be identity tokens, which are exchanged by POST", () =>
    Effect.gen(function* () {
      const forms: Array<string> = []
      const server = yield* faultServer((request, response) => {
        if (request.headers.authorization === "Bearer t") return serveContent(request, response)
        if (request.method === "POST") {
          request.on("data", (chunk: Buffer) => forms.push(chunk.toString()))
          return request.on("end", () => response.end(JSON.stringify({ access_token: "t" })))
        }
        const realm = `Bearer realm="http://${request.headers.host}/token",service="s"`
        return status(response, 401, { "www-authenticate": realm })
      })
      const identityToken = Redacted.make("refresh-4")
      const fetcher = yield* registryFetcher({
        credentials: () => Effect.succeed(Option.some({ username: "", password: Redacted.make(""), identityToken }))
      })
      expectContent(yield* bytesOf(fetcher.fetch(in1(server.host), blob)))
      const form = new URLSearchParams(forms.join(""))
      assert.deepInclude(Object.fromEntries(form), {
        grant_type: "refresh_token",
        refresh_token: "refresh-4",
        service: "s",
        scope: "repository:team/app:pull"
      })
    })
  )
})

describe("what is shown of URLs and headers", () => {
  for (const [url, shown] of [
    ["https://a.example/v2/?artifactType=x&n=5", "https://a.example/v2/?artifactType=x&n=5"],
    ["https://a.example/b?X-Amz-Signature=abc&n=5", "https://a.example/b?X-Amz-Signature=redacted&n=5"],
    ["https://me:secret@a.example/#secret", "https://a.example/"],
    ["no url secret", "redacted"]
  ] as const) {
    it(`keeps to itself what may be a secret: ${shown}`, () => {
      assert.strictEqual(redactUrl(url), shown)
    })
  }

  it("leaves out credentials, and queries of locations", () => {
    const headers = { Authorization: "Bearer x", "set-cookie": "x", location: "/a?x=y", accept: "z" }
    assert.deepStrictEqual(redactHeaders(headers), {
      Authorization: "redacted",
      "set-cookie": "redacted",
      location: "/a?redacted",
      accept: "z"
    })
  })
})

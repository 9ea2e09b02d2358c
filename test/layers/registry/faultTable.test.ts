/**
 * What comes of each operation where a registry or the network does something wrong: the right content, or an error that says what
 * happened; in time, and never a byte that no digest covers.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { Fault, FaultRule } from "../../../src/layers/embedded/faults.ts"
import type { Repository } from "../../../src/services/RegistryFetcher.ts"
import type { RegistryOptions } from "../../../src/layers/registry/registryOptions.ts"
import { RegistryFetcher } from "../../../src/services/RegistryFetcher.ts"
import { MediaType } from "../../../src/services/MediaType.ts"
import { digestOf, verify } from "../../../src/streams/verify.ts"
import { blob, bytesOf, content, in1, manifest, manifestBytes } from "../../support/blobServer.ts"
import { chunked, descriptorOf, json } from "../../support/content.ts"
import { embeddedRegistry, embeddedRegistryOver } from "../../support/embeddedRegistry.ts"
import { registryFetcher } from "../../support/registryFetcher.ts"

type Fetcher = RegistryFetcher["Service"]

const start = 100_000
const end = 300_000
const range = content.subarray(start, end)

const config = json({})
const referrerBytes = json({
  schemaVersion: 2,
  mediaType: MediaType.ociManifest,
  config: descriptorOf(config, "application/test"),
  layers: [],
  subject: manifest
})
const referrer = descriptorOf(referrerBytes, MediaType.ociManifest)

/** Each operation ends with what it brought, which must be right. */
const operations = {
  resolve: (fetcher: Fetcher, repository: Repository) =>
    Effect.gen(function* () {
      const reference = { _tag: "Registry", ...repository, tag: "v1", digest: undefined } as const
      const bytes = yield* fetcher.fetchManifest(repository, yield* fetcher.resolve(reference))
      assert.isTrue(Buffer.from(manifestBytes).equals(bytes))
    }),
  fetch: (fetcher: Fetcher, repository: Repository) =>
    Effect.map(bytesOf(fetcher.fetch(repository, blob)), (bytes) => assert.isTrue(bytes.equals(content))),
  // As spans are read: whoever reads a range knows the digest of it.
  read: (fetcher: Fetcher, repository: Repository) =>
    Effect.gen(function* () {
      const opened = yield* fetcher.open(repository, blob)
      const part = opened.read(start, end - start).pipe(verify(descriptorOf(range), "a span"))
      assert.isTrue(Buffer.from(range).equals(yield* bytesOf(part)))
    }),
  push: (fetcher: Fetcher, repository: Repository) => {
    const other = content.subarray(1)
    return fetcher.push(repository, descriptorOf(other), chunked(other, 50_000))
  },
  referrers: (fetcher: Fetcher, repository: Repository) =>
    Effect.gen(function* () {
      const found = yield* fetcher.referrers(repository, manifest.digest, "application/test")
      if (found.length === 0) return yield* Effect.fail({ _tag: "nothing", message: "there are no referrers" })
      assert.deepStrictEqual(found, [{ ...referrer, artifactType: "application/test" }])
    })
}
type Operation = keyof typeof operations
const names: ReadonlyArray<Operation> = ["resolve", "fetch", "read", "push", "referrers"]

/** Short limits for what waits for ever; what ends by itself has all the time that a busy machine may take. */
const patient: RegistryOptions = { retries: 3 }
const slowHeads: RegistryOptions = { retries: 3, headersTimeout: "2 seconds" }
const impatient: RegistryOptions = { retries: 1, headersTimeout: "300 millis", uploadTimeout: "300 millis" }
const strict: RegistryOptions = { retries: 1, operationTimeout: "3 seconds", minimumRate: 1024 ** 3 }

const outcomeOf = Effect.fnUntraced(function* (
  name: Operation,
  rules: ReadonlyArray<FaultRule>,
  limits: RegistryOptions
) {
  // Without the API the referrer is entered by tag; the store finds it either way.
  const { store, host: cleanHost } = yield* embeddedRegistry({ referrersApi: false })
  yield* store.ingest(blob, Stream.make(content))
  const clean = yield* registryFetcher()
  yield* clean.push(in1(cleanHost), descriptorOf(config), Stream.make(config))
  yield* clean.pushManifest(in1(cleanHost), manifest, manifestBytes, "v1")
  yield* clean.pushManifest(in1(cleanHost), referrer, referrerBytes)
  const storage = yield* embeddedRegistryOver(store, { faults: rules.filter(isForStorage) })
  const faults = rules.filter((rule) => !isForStorage(rule)).map((rule) => toStorage(rule, storage.host))
  const { host } = yield* embeddedRegistryOver(store, { faults })
  const fetcher = yield* registryFetcher(limits)
  const outcome = yield* operations[name](fetcher, in1(host)).pipe(
    Effect.as("right"),
    Effect.catch((error) => {
      assert.isAbove(error.message.length, 20)
      return Effect.succeed(error._tag)
    }),
    Effect.timeout("60 seconds")
  )
  // Whatever came of it, nothing is there under a name that is not its own.
  for (const digest of [blob.digest, digestOf(content.subarray(1))]) {
    if (!(yield* store.exists(digest))) continue
    const descriptor = yield* store.resolve(digest)
    yield* Stream.runDrain(
      Stream.unwrap(Effect.map(store.open(descriptor), (held) => held.read(0, descriptor.size))).pipe(
        verify({ ...descriptor, digest }, "kept")
      )
    )
  }
  return outcome
}, Effect.scoped)

/** Rules with this path are for the server that the registry redirects to. */
const storagePath = /signed=1/
const isForStorage = ({ path }: FaultRule): boolean => path === storagePath
const toStorage = (rule: FaultRule, host: string): FaultRule =>
  rule.fault._tag === "Redirect" ? { ...rule, fault: { ...rule.fault, origin: `http://${host}` } } : rule

const status = (code: number, headers: Record<string, string> = {}): Fault => ({
  _tag: "Status",
  status: code,
  headers
})
const once = (fault: Fault, more: Partial<FaultRule> = {}): FaultRule => ({ fault, times: 1, ...more })
const always = (fault: Fault, more: Partial<FaultRule> = {}): FaultRule => ({ fault, ...more })

const get = { method: "GET" }
const redirect = always({ _tag: "Redirect", origin: "", query: "?signed=1" }, { ...get, path: /blobs\/sha256/ })

const right = ["right", "right", "right", "right", "right"] as const
const failed = ["RegistryFailed", "RegistryFailed", "RegistryFailed", "RegistryFailed", "RegistryFailed"] as const
const refused = names.map(() => "RegistryUnauthorized")

/** What comes of resolve, fetch, read, push and referrers. */
const table: ReadonlyArray<
  readonly [name: string, rules: ReadonlyArray<FaultRule>, outcomes: ReadonlyArray<string>, limits?: RegistryOptions]
> = [
  ["nothing", [], right],
  ["latency", [always({ _tag: "Latency", duration: "20 millis" })], right],
  ["one answer that does not come in time", [once({ _tag: "Latency", duration: "1 minute" })], right, slowHeads],
  ["no answer in time", [always({ _tag: "Latency", duration: "1 minute" })], failed, impatient],
  ["one reset", [once({ _tag: "Reset", afterBytes: 50 }, get)], right],
  [
    "resets, each after some bytes",
    [always({ _tag: "Reset", afterBytes: 100_000 }, { ...get, path: /blobs/ })],
    ["right", "right", "right", "right", "right"]
  ],
  [
    "resets before any byte",
    [always({ _tag: "Reset", afterBytes: 0 }, get)],
    ["RegistryFailed", "RegistryFailed", "BlobReadFailed", "right", "RegistryFailed"]
  ],
  ["a short body", [once({ _tag: "ShortBody", bytes: 100 }, { ...get, path: /blobs/ })], right],
  [
    "short bodies of documents",
    [always({ _tag: "ShortBody", bytes: 10 }, { path: /manifests|referrers/ })],
    ["ContentMismatch", "right", "right", "right", "RegistryFailed"]
  ],
  ["200 for ranges", [always({ _tag: "WholeForRange" })], right],
  [
    "a wrong Content-Range",
    [once({ _tag: "WrongContentRange", contentRange: "bytes 7-9/400000" }, { ranged: true, after: 1 })],
    ["right", "right", "BlobReadFailed", "right", "right"]
  ],
  [
    "another size in Content-Range",
    [always({ _tag: "WrongContentRange", contentRange: "bytes 0-0/7" }, { ranged: true })],
    ["right", "right", "RegistryFailed", "right", "right"]
  ],
  [
    "wrong bytes",
    [always({ _tag: "WrongBytes" }, get)],
    ["ContentMismatch", "ContentMismatch", "ContentMismatch", "right", "RegistryFailed"]
  ],
  ["401 once, with a challenge that cannot be met", [once(status(401, { "www-authenticate": "Basic" }))], refused],
  [
    "401 in the middle",
    [once(status(401), { after: 1 })],
    ["RegistryUnauthorized", "right", "BlobReadFailed", "RegistryUnauthorized", "right"]
  ],
  ["403", [always(status(403))], refused],
  ["404", [always(status(404))], ["NotInRegistry", "NotInRegistry", "NotInRegistry", "NotInRegistry", "nothing"]],
  [
    "429 with Retry-After",
    [once(status(429, { "retry-after": "0" })), once(status(429, { "retry-after": "1" }), { after: 1 })],
    right
  ],
  ["429 for ever", [always(status(429, { "retry-after": "0" }))], failed],
  ["503", [once(status(503))], right],
  ["503 for ever", [always(status(503))], failed],
  [
    "a slow drip",
    [always({ _tag: "SlowDrip", bytes: 5, every: "100 millis" }, get)],
    ["RegistryFailed", "RegistryFailed", "BlobReadFailed", "right", "RegistryFailed"],
    strict
  ],
  ["no referrers API", [always(status(404), { path: /referrers/ })], right],
  ["no digest in heads", [always({ _tag: "NoDigestHeader" })], right],
  ["a redirect to another host", [redirect], right],
  [
    "a redirect that expires once",
    [redirect, once(status(403), { path: storagePath, after: 0 })],
    ["right", "right", "RegistryUnauthorized", "right", "right"]
  ],
  [
    "a redirect that expires after it was opened",
    [redirect, once(status(403), { path: storagePath, after: 1 })],
    right
  ],
  [
    "redirects that are refused",
    [redirect, always(status(403), { path: storagePath })],
    ["right", "RegistryFailed", "RegistryUnauthorized", "right", "right"]
  ],
  ["an upload that breaks once", [once({ _tag: "ResetUpload", afterBytes: 100_000 }, { method: "PUT" })], right],
  [
    "uploads that break",
    [always({ _tag: "ResetUpload", afterBytes: 1000 }, { method: "PUT" })],
    ["right", "right", "right", "RegistryFailed", "right"]
  ]
]

describe("faults", () => {
  for (const [name, rules, outcomes, limits = patient] of table) {
    it.live(`${name}: each operation ends with the right content or says why not`, () =>
      Effect.gen(function* () {
        const came = yield* Effect.forEach(names, (operation) => outcomeOf(operation, rules, limits), {
          concurrency: 5
        })
        assert.deepStrictEqual(came, [...outcomes])
      })
    )
  }

  const parts = { method: "PATCH" }
  for (const [name, rules, outcome] of [
    ["a part that breaks", [once({ _tag: "ResetUpload", afterBytes: 10_000 }, { ...parts, after: 2 })], "right"],
    ["every part breaks, but later and later", [always({ _tag: "ResetUpload", afterBytes: 60_000 }, parts)], "right"],
    ["parts that break at once", [always({ _tag: "ResetUpload", afterBytes: 0 }, parts)], "RegistryFailed"],
    ["a part that is put off", [once(status(429, { "retry-after": "0" }), { ...parts, after: 1 })], "right"],
    ["a registry that takes no parts", [always(status(405), parts)], "right"],
    ["a part in the wrong place, says the registry", [once(status(416), { ...parts, after: 3 })], "right"]
  ] as const) {
    it.live(`uploads in parts: ${name}`, () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* outcomeOf("push", rules, { ...patient, uploadPartBytes: 64 * 1024 }), outcome)
      })
    )
  }
})

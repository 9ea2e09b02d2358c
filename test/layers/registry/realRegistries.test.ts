/**
 * Registries that others wrote: Debian's docker-registry, with passwords and with TLS; skopeo judges what we pushed there.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Stream } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { RegistryOptions } from "../../../src/layers/registry/registryOptions.ts"
import { MediaType } from "../../../src/services/MediaType.ts"
import { bytesOf, content, in1 } from "../../support/blobServer.ts"
import { chunked, descriptorOf, json } from "../../support/content.ts"
import { dockerRegistry } from "../../support/dockerRegistry.ts"
import { hasProgram, runProgram } from "../../support/programs.ts"
import { registryFetcher } from "../../support/registryFetcher.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"
import { testAuthority } from "../../support/testAuthority.ts"

const config = json({ architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [] } })
const layer = descriptorOf(content, MediaType.ociLayerGzip)
const image = json({
  schemaVersion: 2,
  mediaType: MediaType.ociManifest,
  config: descriptorOf(config, MediaType.ociConfig),
  layers: [layer]
})
const descriptor = descriptorOf(image, MediaType.ociManifest)

/** Pushes an image, and reads it back in each way there is. */
const roundTrip = Effect.fnUntraced(function* (host: string, options: RegistryOptions) {
  const fetcher = yield* registryFetcher(options)
  const repository = in1(host)
  yield* fetcher.push(repository, descriptorOf(config, MediaType.ociConfig), Stream.make(config))
  yield* fetcher.push(repository, layer, chunked(content, 30_000))
  yield* fetcher.pushManifest(repository, descriptor, image, "v1")
  const reference = { _tag: "Registry", ...repository, tag: "v1", digest: undefined } as const
  assert.deepStrictEqual(yield* fetcher.resolve(reference), descriptor)
  assert.isTrue(content.length === (yield* bytesOf(fetcher.fetch(repository, layer))).length)
  const opened = yield* fetcher.open(repository, layer)
  assert.isTrue((yield* bytesOf(opened.read(1000, 5000))).equals(content.subarray(1000, 6000)))
  assert.deepStrictEqual(yield* fetcher.referrers(repository, descriptor.digest, "none"), [])
})

const refusedBy = (host: string, options: RegistryOptions) =>
  Effect.map(Effect.flip(roundTrip(host, { retries: 0, ...options })), ({ message }) => message)

const write = (file: string, text: string) =>
  Effect.promise(async () => {
    await fs.mkdir(path.dirname(file), { recursive: true })
    await fs.writeFile(file, text)
  })

const missing = ["docker-registry", "skopeo", "openssl"].filter((name) => !hasProgram(name))
const because = missing.length === 0 ? "" : ` (skipped: no ${missing.join(", ")})`

describe.skipIf(missing.length > 0)(`docker-registry${because}`, () => {
  it.live("takes a blob in parts, which skopeo then copies", () =>
    Effect.gen(function* () {
      const { host } = yield* dockerRegistry()
      yield* roundTrip(host, { uploadPartBytes: 100_000 })
      const directory = yield* temporaryDirectory
      const source = ["--src-tls-verify=false", `docker://${host}/team/app:v1`]
      yield* runProgram("skopeo", "copy", "--quiet", ...source, `dir:${directory}/copy`)
      const copied = path.join(directory, "copy", layer.digest.slice(7))
      assert.isTrue((yield* Effect.promise(() => fs.readFile(copied))).equals(content))
    })
  )

  it.live("gives a blob from one repository to another without an upload", () =>
    Effect.gen(function* () {
      const { host } = yield* dockerRegistry()
      yield* roundTrip(host, {})
      const fetcher = yield* registryFetcher()
      const other = { host, repository: "team/other" }
      const unread = Stream.die("must not be read")
      assert.strictEqual(yield* fetcher.push(other, layer, unread, { mountFrom: "team/app" }), "mounted")
      assert.isTrue(yield* fetcher.exists(other, layer))
      const elsewhere = fetcher.push({ host, repository: "team/third" }, layer, chunked(content, 50_000), {
        mountFrom: "team/nothing"
      })
      assert.strictEqual(yield* elsewhere, "pushed")
    })
  )

  it.live("gets the password of its own host, from --user or the Docker configuration, and says which is missing", () =>
    Effect.gen(function* () {
      const { host } = yield* dockerRegistry({ password: true })
      yield* roundTrip(host, { user: Redacted.make("me:secret") })
      const directory = yield* temporaryDirectory
      const auths = { "other.example": { auth: "eDp5" }, [host]: { auth: Buffer.from("me:secret").toString("base64") } }
      yield* write(path.join(directory, "config.json"), JSON.stringify({ auths }))
      yield* roundTrip(host, { dockerConfigDirectory: directory })
      for (const options of [{}, { user: Redacted.make("me:wrong-password") }, { user: Redacted.make("me") }]) {
        const message = yield* refusedBy(host, options)
        assert.include(message, "status 401")
        assert.include(message, "give --user")
        assert.notInclude(message, "wrong-password")
      }
    })
  )

  it.live("is spoken to with TLS on this machine, where it speaks it: trusted by a file, or not at all", () =>
    Effect.gen(function* () {
      const { server, authority } = yield* testAuthority
      const { host } = yield* dockerRegistry({ tls: server, password: true })
      const user = { user: Redacted.make("me:secret") }
      const nothing = { authorities: [], clients: [], skipVerify: false }
      yield* roundTrip(host, { ...user, tls: { ...nothing, authorities: [authority] } })
      yield* roundTrip(host, { ...user, tls: { ...nothing, skipVerify: true } })
      const untrusted = yield* refusedBy(host, user)
      assert.include(untrusted, "the certificate of the server is not trusted")
      assert.include(untrusted, "--tlscacert")
      assert.include(yield* refusedBy(host, { ...user, plainHttp: true }), "400")
      const inspected = ["--creds", "me:secret", "--tls-verify=false", "--format", "{{.Digest}}"]
      const digest = yield* runProgram("skopeo", "inspect", ...inspected, `docker://${host}/team/app:v1`)
      assert.strictEqual(digest.trim(), descriptor.digest)
    })
  )

  it.live("sees a client certificate where it asks for one: from flags, hosts.toml and Docker's files", () =>
    Effect.gen(function* () {
      const { directory, server, client, stranger, authority } = yield* testAuthority
      const { host } = yield* dockerRegistry({ tls: server, clientAuthority: authority })
      const tls = { authorities: [authority], skipVerify: false }
      yield* roundTrip(host, { tls: { ...tls, clients: [client] } })
      assert.include(yield* refusedBy(host, { tls: { ...tls, clients: [] } }), "give --tlscert")
      assert.notStrictEqual(yield* refusedBy(host, { tls: { ...tls, clients: [stranger] } }), "")

      const hosts = path.join(directory, "certs.d")
      const place = path.join(hosts, host.replace(":", "_") + "_")
      yield* write(
        path.join(place, "hosts.toml"),
        `server = "https://${host}"\nca = "../../test-authority.crt"\nclient = [["${client.certificate}", "${client.key}"]]\n`
      )
      yield* roundTrip(host, { hostsDirectory: hosts })

      const docker = path.join(directory, "docker", host)
      yield* Effect.promise(() => fs.mkdir(docker, { recursive: true }))
      for (const [from, to] of [
        [authority, "ca.crt"],
        [client.certificate, "client.cert"],
        [client.key, "client.key"]
      ] as const) {
        yield* Effect.promise(() => fs.copyFile(from, path.join(docker, to)))
      }
      yield* roundTrip(host, { hostsDirectory: path.dirname(docker) })
      yield* Effect.promise(() => fs.rm(path.join(docker, "client.key")))
      const message = yield* refusedBy(host, { hostsDirectory: path.dirname(docker) })
      assert.include(message, "client.key")
      assert.include(message, "expected the key of a client certificate")
    })
  )
})

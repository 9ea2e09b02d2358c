import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { missingForContainerd } from "../../support/containerd.ts"
import { dockerRegistry } from "../../support/dockerRegistry.ts"
import { hasProgram } from "../../support/programs.ts"
import { sociOnContainerd } from "../../support/sociOnContainerd.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"
import { testAuthority } from "../../support/testAuthority.ts"

const missing = [
  missingForContainerd,
  ...["docker-registry", "openssl"].filter((program) => !hasProgram(program))
].filter((name) => name !== "")
const why = missing.length === 0 ? "" : ` (skipped: ${missing.join(", ")} is missing)`

const small = ["--min-layer-size", "0", "--span-size", "131072"]

describe.skipIf(missing.length > 0)(`soci push to a registry with TLS${why}`, () => {
  it.live("holds to the flags that the reference takes and ignores", () =>
    Effect.gen(function* () {
      const { authority, server, client, stranger } = yield* testAuthority
      const { host } = yield* dockerRegistry({ tls: server, clientAuthority: authority })
      const { image, soci } = yield* sociOnContainerd("multi-attestation", host)
      yield* soci("create", ...small, image)
      const push = (...flags: ReadonlyArray<string>) => soci("push", "-q", ...flags, image)
      const certificate = ["--tlscert", client.certificate, "--tlskey", client.key]

      const unknown = yield* push(...certificate)
      assert.strictEqual(unknown.code, 1)
      assert.match(unknown.stderr, /^soci: failed to fetch list of referrers: .*certificate/)
      const nobody = yield* push("--tlscacert", authority)
      assert.strictEqual(nobody.code, 1)
      const other = yield* push("--tlscacert", authority, "--tlscert", stranger.certificate, "--tlskey", stranger.key)
      assert.strictEqual(other.code, 1)
      const plain = yield* push("--plain-http")
      assert.strictEqual(plain.code, 1)

      assert.strictEqual((yield* push("--tlscacert", authority, ...certificate)).code, 0)
      assert.strictEqual((yield* push("-k", ...certificate)).code, 0)

      const hosts = yield* temporaryDirectory
      yield* Effect.promise(async () => {
        const directory = path.join(hosts, host)
        await fs.mkdir(directory)
        const text = `[host."https://${host}"]\nca = "${authority}"\nclient = [["${client.certificate}", "${client.key}"]]\n`
        await fs.writeFile(path.join(directory, "hosts.toml"), text)
      })
      const configured = yield* push("--hosts-dir", hosts)
      assert.strictEqual(configured.code, 0, configured.stderr)
      const lone = yield* push("--tlskey", client.key)
      assert.match(lone.stderr, /--tlskey is the key of a certificate: give --tlscert too\n$/)
    })
  )
})

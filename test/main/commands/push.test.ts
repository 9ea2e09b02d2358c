import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { missingForContainerd } from "../../support/containerd.ts"
import { dockerRegistry } from "../../support/dockerRegistry.ts"
import { embeddedRegistry } from "../../support/embeddedRegistry.ts"
import { hasProgram } from "../../support/programs.ts"
import { sociOnContainerd, sortedLines } from "../../support/sociOnContainerd.ts"
import { type Ended } from "../../support/sociCommand.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const missing = [missingForContainerd, hasProgram("docker-registry") ? "" : "docker-registry"].filter(
  (name) => name !== ""
)
const why = missing.length === 0 ? "" : ` (skipped: ${missing.join(", ")} is missing)`

const small = ["--min-layer-size", "0", "--span-size", "131072"]
const amd64 = "sha256:091e3bd14e8bcbfa7528c3a9cb08a5d6961151f88f1cde4f23205b9eeaa134ad"
const arm64 = "sha256:bf5379ec5975b1db0d24e9e0f85bfbaffae47fa09f7cf074615fb80d2a193db7"
const amd64Manifest = "sha256:b8fdef36b315d77f27f03229e0e3bdd96068844ed575dd1e71c7cf123584c719"
const arm64Manifest = "sha256:0701e755622adf235ba817ab5938c839de06df2fde29303c2cf365f0073176c2"
const amd64Ztoc = "sha256:78c12e4ade6a534039fd09c969837ed0d7e9c4e7defe28119a37f626b08f263b"
const emptyConfig = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

const failsWith = ({ code, stderr }: Ended, reason: string) => {
  assert.deepStrictEqual([code, stderr.split("\n").at(-2)], [1, `soci: ${reason}`])
}

/** A registry that has the image, and a containerd that has it with the indexes of its platforms. */
const setUp = Effect.fnUntraced(function* (
  options: { readonly password?: boolean; readonly withImage?: boolean } = {}
) {
  const { password = false, withImage = true } = options
  const { host } = yield* dockerRegistry({ password })
  const on = yield* sociOnContainerd("multi-attestation", host)
  yield* on.soci("create", "--all-platforms", ...small, on.image)
  const credentials = password ? ["--user", "me:secret"] : []
  if (withImage) yield* Effect.orDie(on.daemon.ctr("images", "push", "--plain-http", ...credentials, on.image))
  const manifests = Effect.fnUntraced(function* (reference: string) {
    const response = yield* Effect.promise(() =>
      fetch(`http://${host}/v2/multi-attestation/manifests/${reference}`, {
        headers: {
          accept: "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json",
          ...(password ? { authorization: `Basic ${btoa("me:secret")}` } : {})
        }
      })
    )
    return { status: response.status, body: yield* Effect.promise(() => response.text()) }
  })
  const has = (digest: string) => Effect.map(manifests(digest), ({ status }) => status === 200)
  return { host, has, manifests, ...on }
})

describe.skipIf(missing.length > 0)(`soci push to docker-registry${why}`, () => {
  it.live("says what the reference says, and the index is found by the tag of its image's referrers", () =>
    Effect.gen(function* () {
      const { image, soci, manifests } = yield* setUp()
      const ended = yield* soci("push", image)
      assert.strictEqual(ended.code, 0, ended.stderr)
      const [first, second, ...rest] = ended.stdout.split("\n")
      assert.strictEqual(first, "checking if a soci index already exists in remote repository...")
      assert.strictEqual(second, `pushing soci index with digest: ${amd64}`)
      assert.strictEqual(rest.at(-2), `successfully pushed artifact with digest: ${amd64}`)
      assert.strictEqual(rest.at(-3), `pushing artifact with digest: ${amd64}`)
      assert.deepStrictEqual(
        sortedLines(rest.slice(0, -3).join("\n")),
        [
          `pushing artifact with digest: ${emptyConfig}`,
          `pushing artifact with digest: ${amd64Ztoc}`,
          `skipped artifact with digest: ${amd64Manifest}`,
          `successfully pushed artifact with digest: ${emptyConfig}`,
          `successfully pushed artifact with digest: ${amd64Ztoc}`
        ].toSorted()
      )
      const referrers: { readonly manifests: ReadonlyArray<unknown> } = JSON.parse(
        (yield* manifests(amd64Manifest.replace(":", "-"))).body
      )
      assert.deepStrictEqual(referrers.manifests, [
        {
          mediaType: "application/vnd.oci.image.manifest.v1+json",
          digest: amd64,
          size: 872,
          annotations: { "com.amazon.soci.build-tool-identifier": "AWS SOCI CLI v0.2" },
          artifactType: "application/vnd.amazon.soci.index.v1+json"
        }
      ])
    })
  )

  it.live("warns of, skips or does not look for an index that is there", () =>
    Effect.gen(function* () {
      const { image, soci } = yield* setUp()
      yield* soci("push", image)
      const found = `soci index found in remote repository with digest: ${amd64}`
      const warned = yield* soci("push", "-q", image)
      assert.strictEqual(warned.stdout, `[WARN] ${found}: pushing index anyway\n${amd64}\n`)
      const skipped = yield* soci("push", "--existing-index", "skip", image)
      assert.strictEqual(
        skipped.stdout,
        "checking if a soci index already exists in remote repository...\n" +
          `${found}: skipping pushing artifacts for image manifest: ${amd64Manifest}\n`
      )
      assert.strictEqual((yield* soci("push", "--existing-index=skip", "-q", image)).stdout, "")
      const allowed = yield* soci("push", "-existing-index", "allow", image)
      assert.strictEqual(
        allowed.stdout,
        `pushing soci index with digest: ${amd64}\nskipped artifact with digest: ${amd64}\n`
      )
    })
  )

  it.live("pushes all platforms, each in its turn, and tells machines in JSON", () =>
    Effect.gen(function* () {
      const { host, image, soci, has } = yield* setUp()
      const ended = yield* soci("push", "--json", "--all-platforms", "--max-concurrent-uploads=1", image)
      assert.deepStrictEqual(JSON.parse(ended.stdout), {
        Image: image,
        Repository: `${host}/multi-attestation`,
        Indexes: [
          {
            Platform: "linux/amd64",
            ManifestDigest: amd64Manifest,
            IndexDigest: amd64,
            ExistingIndexes: [],
            Pushed: true
          },
          {
            Platform: "linux/arm64/v8",
            ManifestDigest: arm64Manifest,
            IndexDigest: arm64,
            ExistingIndexes: [],
            Pushed: true
          }
        ]
      })
      assert.isTrue(yield* has(amd64))
      assert.isTrue(yield* has(arm64))
    })
  )

  it.live("uploads an image that the registry lacks, and says so", () =>
    Effect.gen(function* () {
      const { image, soci, has } = yield* setUp({ withImage: false })
      const ended = yield* soci("push", image)
      assert.strictEqual(ended.code, 0)
      assert.strictEqual(
        ended.stderr,
        `the registry does not have image manifest ${amd64Manifest}: ${image} was uploaded as well\n`
      )
      assert.isTrue(yield* has(amd64Manifest))
      assert.isTrue(yield* has(amd64))
    })
  )

  it.live("takes the image from containerd where the index is in the soci store", () =>
    Effect.gen(function* () {
      const { image, soci, has } = yield* setUp({ withImage: false })
      yield* soci("create", "--content-store", "soci", ...small, image)
      const ended = yield* soci("push", "--content-store", "soci", image)
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.isTrue(yield* has(amd64))
    })
  )

  it.live("shows its requests with --debug", () =>
    Effect.gen(function* () {
      const { host, image, soci } = yield* setUp()
      const { stdout } = yield* soci("push", "--debug", image)
      const repository = `http://${host}/v2/multi-attestation`
      assert.include(stdout, `http req HEAD ${repository}/manifests/${amd64Manifest}\nhttp res 200 OK\n`)
      assert.include(stdout, `http req PUT ${repository}/manifests/${amd64}\n`)
    })
  )

  it.live("asks for a password, takes it from the flag or docker's configuration, and never shows it", () =>
    Effect.gen(function* () {
      const { host, image, soci, sociWith } = yield* setUp({ password: true })
      const directory = yield* temporaryDirectory
      const environment = { DOCKER_CONFIG: directory }
      const anonymous = yield* sociWith({ environment }, "push", image)
      assert.strictEqual(anonymous.code, 1)
      assert.match(anonymous.stderr, /^soci: failed to fetch list of referrers: .*--user/)
      const wrong = yield* soci("push", "--user", "me:not-it-123", image)
      assert.strictEqual(wrong.code, 1)
      assert.include(wrong.stderr, "401")
      assert.notInclude(wrong.stderr + wrong.stdout, "not-it-123")
      const flagged = yield* soci("push", "--http-dump", "-u", "me:secret", image)
      assert.strictEqual(flagged.code, 0, flagged.stderr)
      assert.notInclude(flagged.stdout, btoa("me:secret"))
      const auths = { auths: { [host]: { auth: btoa("me:secret") } } }
      yield* Effect.promise(() => fs.writeFile(path.join(directory, "config.json"), JSON.stringify(auths)))
      assert.strictEqual((yield* sociWith({ environment }, "push", image)).code, 0)
    })
  )

  it.live("refuses what is wrong in the order and the words of the reference", () =>
    Effect.gen(function* () {
      const { daemon, image, soci } = yield* setUp({ withImage: false })
      failsWith(yield* soci("push"), "please provide an image reference to push")
      failsWith(yield* soci("push", "r/none:v1"), 'image "r/none:v1": not found')
      yield* daemon.ctr("images", "tag", image, "foo:bar")
      failsWith(
        yield* soci("push", "foo:bar", "--content-store", "foo"),
        'parse "dummy://foo:bar": invalid port ":bar" after host'
      )
      yield* daemon.ctr("images", "tag", image, "r.test/UP:v1")
      failsWith(yield* soci("push", "r.test/UP:v1"), 'invalid reference: invalid repository "UP"')
      failsWith(
        yield* soci("push", image, "--content-store", "foo", "--existing-index", "foo"),
        "unknown content store type: foo; must be one of [soci containerd]"
      )
      failsWith(
        yield* soci("push", image, "--existing-index", "foo"),
        "unexpected value for flag existing-index: foo, expected types [warn skip allow]"
      )
      yield* soci("index", "rm", arm64)
      const none = yield* soci("push", "--all-platforms", image)
      failsWith(none, "could not find any soci index manifest v1 to push for platform linux/arm64/v8")
      assert.strictEqual(none.stdout, "")
      yield* daemon.ctr("content", "rm", amd64)
      failsWith(
        yield* soci("push", "--existing-index", "allow", image),
        `error pushing graph to remote: failed to perform "FindSuccessors" on source: content digest ${amd64}: not found`
      )
      const overflow = yield* soci("push", "--max-concurrent-uploads", "18446744073709551615", image)
      assert.include(
        overflow.stderr,
        "warning: overflow for setting --max-concurrent-uploads=18446744073709551615; defaulting to 3\n"
      )
    })
  )

  it.live("looks for indexes by the referrers API where there is one", () =>
    Effect.gen(function* () {
      const registry = yield* embeddedRegistry({ referrersApi: true })
      const { image, soci } = yield* sociOnContainerd("multi-attestation", registry.host)
      yield* soci("create", ...small, image)
      assert.strictEqual((yield* soci("push", image)).code, 0)
      const found = `soci index found in remote repository with digest: ${amd64}`
      const again = yield* soci("push", "-q", image)
      assert.strictEqual(again.stdout, `[WARN] ${found}: pushing index anyway\n${amd64}\n`)
      yield* soci("create", "--min-layer-size", "0", "--span-size", "65536", image)
      yield* soci("push", "-q", "--existing-index", "allow", image)
      const several = yield* soci("push", "--existing-index", "skip", image)
      const skipped = "multiple soci indices found in remote repository: skipping pushing artifacts for image manifest:"
      assert.include(several.stdout, `${skipped} ${amd64Manifest}\n`)
    })
  )

  it.live("leaves indexes of version 2 to those who push whole images", () =>
    Effect.gen(function* () {
      const { daemon, image, soci } = yield* setUp({ withImage: false })
      const converted = image.replace(":v1", ":soci")
      yield* soci("convert", ...small, image, converted)
      const ended = yield* soci("push", converted)
      failsWith(ended, "could not find any soci index manifest v1 to push for platform linux/amd64")
      assert.strictEqual(
        ended.stdout,
        "[WARN] Skipping SOCI index manifest v2. You should push the whole image with higher level tools like finch or nerdctl.\n"
      )
      assert.include(yield* daemon.ctr("images", "ls", "-q"), converted)
    })
  )
})

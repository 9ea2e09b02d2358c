import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as ContentStoreLayout from "../../../src/layers/ContentStoreLayout.ts"
import { ContentStore } from "../../../src/services/ContentStore.ts"
import { dockerRegistry } from "../../support/dockerRegistry.ts"
import { embeddedRegistry } from "../../support/embeddedRegistry.ts"
import { noise } from "../../support/content.ts"
import { storeImageOf } from "../../support/imageOf.ts"
import { vectorFile } from "../../support/indexVectors.ts"
import { hasProgram, runProgram } from "../../support/programs.ts"
import { runSoci, runSociWith, startSoci } from "../../support/sociCommand.ts"
import { sortedLines } from "../../support/sociOnContainerd.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const missing = ["docker-registry", "skopeo", "umoci"].filter((program) => !hasProgram(program)).join(", ")
const small = ["--min-layer-size", "0", "--span-size", "131072"]

const ociSingleLayers = [
  "sha256:49d90459a20a6869738679f8e8551be7d4a31b27ecb86239e142cef10db613bd",
  "sha256:f7ad4ccbfe7a51e13c19101df1149e675591be0a3b677c268be5f5228c07beaa"
]

/** What a standalone conversion of the vector gives: the same, wherever it is done. */
const convertedDigest = Effect.fnUntraced(function* (vector: string) {
  const output = path.join(yield* temporaryDirectory, "o")
  const input = vectorFile(`${vector}/input`)
  const ended = yield* runSoci("convert", "--standalone", "--format=oci-dir", "--json", ...small, input, output)
  const result: { readonly Digest: string } = JSON.parse(ended.stdout)
  return result.Digest
}, Effect.scoped)

const pushVector = (vector: string, host: string, repository: string) =>
  Effect.orDie(
    runProgram(
      ...(["skopeo", "copy", "--all", "--dest-tls-verify=false"] as const),
      `oci:${vectorFile(`${vector}/input`)}`,
      `docker://${host}/${repository}`
    )
  )

const digestAt = (host: string, repository: string, tag: string) =>
  Effect.promise(async () => {
    const accept = "application/vnd.oci.image.index.v1+json"
    const response = await fetch(`http://${host}/v2/${repository}/manifests/${tag}`, { headers: { accept } })
    return response.headers.get("docker-content-digest")
  })

/** Runs with a temporary directory of its own, and fails where something is left in it. */
const convertLeavingNothing = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  const scratch = yield* temporaryDirectory
  const ended = yield* runSociWith({ environment: { TMPDIR: scratch } }, "convert", "--standalone", ...args)
  const left = yield* Effect.promise(() => fs.readdir(scratch))
  assert.deepStrictEqual(left, [])
  return ended
})

describe.skipIf(missing !== "")(
  `soci convert from registry to registry${missing === "" ? "" : ` (skipped: ${missing} is missing)`}`,
  () => {
    it.live("converts within a repository, to another one, and to another host, to the same digest", () =>
      Effect.gen(function* () {
        const [one, two] = [yield* dockerRegistry(), yield* dockerRegistry()]
        yield* pushVector("oci-single", one.host, "app:v1")
        const digest = yield* convertedDigest("oci-single")
        for (const [host, repository] of [
          [one.host, "app"],
          [one.host, "other/app"],
          [two.host, "app"]
        ] as const) {
          const [from, to] = [`docker://${one.host}/app:v1`, `docker://${host}/${repository}:soci`]
          const ended = yield* convertLeavingNothing(...small, from, to)
          assert.strictEqual(ended.code, 0, ended.stderr)
          assert.include(ended.stderr, `converted image ${digest} is ${to}\n`)
          assert.strictEqual(yield* digestAt(host, repository, "soci"), digest)

          const again = yield* convertLeavingNothing(...small, from, to)
          assert.strictEqual(again.code, 0, again.stderr)
          assert.notInclude(again.stdout, "pushing artifact")
        }
        const directory = yield* temporaryDirectory
        const copy = `oci:${path.join(directory, "copy")}:v1`
        yield* runProgram("skopeo", "copy", "--src-tls-verify=false", `docker://${two.host}/app:soci`, copy)
        const image = path.join(directory, "copy:v1")
        yield* runProgram("umoci", "unpack", "--image", image, path.join(directory, "bundle"))
      })
    )

    it.live("has layers mounted from the one repository into the other", () =>
      Effect.gen(function* () {
        const { host } = yield* dockerRegistry()
        yield* pushVector("oci-single", host, "app:v1")
        const [from, to] = [`docker://${host}/app:v1`, `docker://${host}/other:soci`]
        const { code, stderr } = yield* convertLeavingNothing("--http-trace", ...small, from, to)
        assert.strictEqual(code, 0, stderr)
        const requests = decodeURIComponent(stderr).split("\n")
        for (const layer of ociSingleLayers) {
          const [fetch, mount] = [`http req GET http://${host}/v2/app/blobs/${layer}`, `mount=${layer}`]
          assert.strictEqual(requests.filter((line) => line === fetch).length, 1, stderr)
          assert.isTrue(
            requests.some((line) => line.includes(mount) && line.includes("from=app")),
            stderr
          )
          assert.isFalse(requests.some((line) => line.includes(`digest=${layer}`)))
        }
      })
    )

    it.live("has for each host the credentials of that host, and for no other", () =>
      Effect.gen(function* () {
        const [one, two] = [yield* dockerRegistry({ password: true }), yield* dockerRegistry({ password: true })]
        const directory = yield* temporaryDirectory
        const environment = { DOCKER_CONFIG: directory }
        const logIn = (...hosts: ReadonlyArray<string>) => {
          const auths = Object.fromEntries(hosts.map((host) => [host, { auth: btoa("me:secret") }]))
          return Effect.promise(() => fs.writeFile(path.join(directory, "config.json"), JSON.stringify({ auths })))
        }
        const args = ["convert", "--standalone", ...small]
        const input = vectorFile("oci-single/input")
        const [from, to] = [`docker://${one.host}/app:v1`, `docker://${two.host}/app:soci`]
        yield* logIn(one.host)
        const first = yield* runSociWith({ environment }, ...args, input, from)
        assert.strictEqual(first.code, 0, first.stderr)
        const refused = yield* runSociWith({ environment }, ...args, from, to)
        assert.strictEqual(refused.code, 1)
        assert.match(refused.stderr, new RegExp(`soci: ${two.host}/app refused to .*401`))
        yield* logIn(one.host, two.host)
        const ended = yield* runSociWith({ environment }, ...args, from, to)
        assert.strictEqual(ended.code, 0, ended.stderr)
      })
    )

    it.live("gives --user to the registry that is written to, and to no other", () =>
      Effect.gen(function* () {
        const [one, two] = [yield* dockerRegistry({ password: true }), yield* dockerRegistry({ password: true })]
        const environment = { DOCKER_CONFIG: yield* temporaryDirectory }
        const args = ["convert", "--standalone", "--user", "me:secret", ...small]
        const [from, to] = [`docker://${one.host}/app:v1`, `docker://${two.host}/app:soci`]
        const first = yield* runSociWith({ environment }, ...args, vectorFile("oci-single/input"), from)
        assert.strictEqual(first.code, 0, first.stderr)
        const refused = yield* runSociWith({ environment }, ...args, from, to)
        assert.strictEqual(refused.code, 1)
        assert.match(refused.stderr, new RegExp(`soci: ${one.host}/app refused to .*401`))
        const archive = path.join(yield* temporaryDirectory, "app.tar")
        const fetched = yield* runSociWith({ environment }, ...args, from, archive)
        assert.strictEqual(fetched.code, 0, fetched.stderr)
      })
    )

    it.live("goes between files and registries as well", () =>
      Effect.gen(function* () {
        const { host } = yield* dockerRegistry()
        const directory = yield* temporaryDirectory
        const digest = yield* convertedDigest("docker-list")
        const input = vectorFile("docker-list/input")
        const uploads = ["--max-concurrent-uploads", String(2n ** 63n)]
        const args = [...small, ...uploads, "--all-platforms", input, `docker://${host}/app:soci`]
        const pushed = yield* convertLeavingNothing(...args)
        assert.strictEqual(pushed.code, 0, pushed.stderr)
        assert.include(pushed.stderr, "overflow for setting --max-concurrent-uploads=9223372036854775808")
        yield* pushVector("docker-list", host, "app:v1")
        const archive = path.join(directory, "app.tar")
        const fetched = yield* convertLeavingNothing(...small, `docker://${host}/app:v1`, archive)
        assert.strictEqual(fetched.code, 0, fetched.stderr)
        assert.include(fetched.stderr, digest)
        assert.include(sortedLines(yield* runProgram("tar", "-tf", archive)), "index.json")
      })
    )
  }
)

/** A registry with an image of one layer of 20 MB that is worth indexing. */
const bigImage = Effect.fnUntraced(function* (options: Parameters<typeof embeddedRegistry>[0] = {}) {
  const registry = yield* embeddedRegistry(options)
  yield* storeImageOf(registry.store, "big:v1", [[{ name: "noise", content: noise(20_000_000) }]])
  return registry
})

describe("soci convert from registry to registry, with an eye on the registry", () => {
  it.live("reads each layer once, and sends none that the registry has", () =>
    Effect.gen(function* () {
      const { host, stats } = yield* bigImage()
      const before = yield* stats
      const ended = yield* convertLeavingNothing(`docker://${host}/big:v1`, `docker://${host}/other:soci`)
      assert.strictEqual(ended.code, 0, ended.stderr)
      const after = yield* stats
      assert.isBelow(after.blobBytesServed - before.blobBytesServed, 21_000_000)
      assert.isBelow(after.bytesReceived - before.bytesReceived, 5_000_000)
    })
  )

  it.live("reads each layer once where it has to go to another host, too", () =>
    Effect.gen(function* () {
      const source = yield* bigImage()
      const target = yield* embeddedRegistry()
      const ended = yield* convertLeavingNothing(`docker://${source.host}/big:v1`, `docker://${target.host}/big:soci`)
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.isBelow((yield* source.stats).blobBytesServed, 21_000_000)
      assert.isAbove((yield* target.stats).bytesReceived, 19_000_000)
    })
  )

  it.live("ends with 130 on Ctrl-C and leaves nothing, and the next run succeeds", () =>
    Effect.gen(function* () {
      const { host } = yield* bigImage({ latency: "200 millis" })
      const scratch = yield* temporaryDirectory
      const args = ["convert", "--standalone", `docker://${host}/big:v1`, `docker://${host}/big:soci`]
      const { child, ended } = yield* startSoci(args, { environment: { TMPDIR: scratch } })
      yield* Effect.promise(() => fs.readdir(scratch)).pipe(
        Effect.repeat({ until: (names) => names.length > 0, schedule: Schedule.spaced("10 millis") }),
        Effect.timeout("20 seconds")
      )
      child.kill("SIGINT")
      assert.strictEqual((yield* ended).code, 130)
      assert.deepStrictEqual(yield* Effect.promise(() => fs.readdir(scratch)), [])
      const again = yield* runSociWith({ environment: { TMPDIR: scratch } }, ...args)
      assert.strictEqual(again.code, 0, again.stderr)
      assert.isNotNull(yield* digestAt(host, "big", "soci"))
    })
  )

  it.live("refuses names that are none, and an image that is not there", () =>
    Effect.gen(function* () {
      const { host } = yield* embeddedRegistry()
      for (const [from, to, reason] of [
        ["docker://foo", "docker://r.test/x:y", '"foo" is not an image: the registry host is missing'],
        ["docker://r.test/x:y", "docker://r.test/UP:y", 'invalid repository "UP"'],
        ["docker://oci:x", "docker://r.test/x:y", "does not name an image of a registry"],
        [`docker://${host}/none:v1`, "docker://r.test/x:y", `${host}/none has no v1`],
        [`docker://127.0.0.1:1/x:y`, "docker://r.test/x:y", "nothing listens there"]
      ] as const) {
        const ended = yield* convertLeavingNothing(from, to)
        assert.strictEqual(ended.code, 1)
        assert.match(ended.stderr, /^soci: [^\n]*\n$/)
        assert.include(ended.stderr, reason)
      }
    })
  )
})

const run = (...command: readonly [string, ...ReadonlyArray<string>]) => Effect.orDie(runProgram(...command))

/** Nobody writes to the directory until the scope ends; to root that takes a mount. */
const readOnly = Effect.fnUntraced(function* (directory: string) {
  if (process.getuid?.() !== 0) {
    yield* Effect.acquireRelease(run("chmod", "-R", "a-w", directory), () => run("chmod", "-R", "u+w", directory))
    return
  }
  yield* Effect.acquireRelease(run("mount", "--bind", directory, directory), () => run("umount", "-l", directory))
  yield* run("mount", "-o", "remount,ro,bind", directory)
})

describe("an image in a layout", () => {
  it.live("is converted out of a store that may only be read", () =>
    Effect.gen(function* () {
      const layout = yield* temporaryDirectory
      const output = path.join(yield* temporaryDirectory, "out.tar")
      yield* Effect.provide(
        Effect.flatMap(ContentStore, (store) => storeImageOf(store, "v1", [[{ name: "a", content: noise(300_000) }]])),
        ContentStoreLayout.layer({ root: layout }) satisfies Layer.Layer<ContentStore, unknown>
      )
      yield* readOnly(layout)
      const ended = yield* convertLeavingNothing(...small, layout, output)
      assert.strictEqual(ended.code, 0, ended.stderr)
    })
  )
})

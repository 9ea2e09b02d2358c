import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { missingForContainerd } from "../../support/containerd.ts"
import { sociOnContainerd, sortedLines } from "../../support/sociOnContainerd.ts"
import { type Ended, runSoci } from "../../support/sociCommand.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const why = missingForContainerd === "" ? "" : ` (skipped: ${missingForContainerd} is missing)`

const amd64 = "sha256:091e3bd14e8bcbfa7528c3a9cb08a5d6961151f88f1cde4f23205b9eeaa134ad"
const arm64 = "sha256:bf5379ec5975b1db0d24e9e0f85bfbaffae47fa09f7cf074615fb80d2a193db7"
const layers = [
  "layer sha256:c6a260fba71de5da4630964605148eef58431e9476a120a04181c301aaad346a -> ztoc sha256:90ebc83e92d3bc5d13027db86cf7a2416c34e6bd95dc232a6aa2aa545046f0d9",
  "layer sha256:c86478101efebc11883baace7d5d0ceb8bba65de951974a496389d1c1d1831d1 -> ztoc sha256:78c12e4ade6a534039fd09c969837ed0d7e9c4e7defe28119a37f626b08f263b"
]
const small = ["--min-layer-size", "0", "--span-size", "131072"]

const failsWith = ({ code, stdout, stderr }: Ended, reason: string) => {
  assert.deepStrictEqual([code, stdout, stderr.split("\n")[0]], [1, "", `soci: ${reason}`])
}

describe.skipIf(missingForContainerd !== "")(`soci create${why}`, () => {
  it.live("builds the reference's indexes, says so in its words, and takes ztocs again that are there", () =>
    Effect.gen(function* () {
      const { image, soci, indexDigests } = yield* sociOnContainerd("multi-attestation")
      const first = yield* soci("create", image, "--all-platforms", ...small)
      assert.deepStrictEqual(sortedLines(first.stdout), layers)
      assert.deepStrictEqual(sortedLines(first.stderr), [
        `SOCI index ${amd64} for linux/amd64`,
        `SOCI index ${arm64} for linux/arm64/v8`
      ])
      assert.strictEqual(first.code, 0)
      assert.deepStrictEqual(yield* indexDigests, [amd64, arm64])

      const second = yield* soci("create", "--all-platforms", ...small, image)
      assert.deepStrictEqual(
        sortedLines(second.stdout),
        layers.map((line) => `${line} (already exists)`)
      )
      assert.deepStrictEqual(yield* indexDigests, [amd64, arm64])
      const forced = yield* soci("create", "--all-platforms", "--force", ...small, image)
      assert.deepStrictEqual(sortedLines(forced.stdout), layers)
    })
  )

  it.live("keeps the indexes of all platforms and options from containerd's garbage collection", () =>
    Effect.gen(function* () {
      const { daemon, image, soci, content } = yield* sociOnContainerd("multi-attestation")
      yield* soci("create", "--all-platforms", ...small, image)
      const other = yield* soci("create", "--json", "-min-layer-size=0", "-span-size=65536", image)
      yield* daemon.collectGarbage
      const stored = yield* content
      const ztocs = layers.map((line) => line.split(" ztoc ")[1] ?? "")
      const built: { readonly Indexes: ReadonlyArray<{ readonly Digest: string }> } = JSON.parse(other.stdout)
      assert.strictEqual(built.Indexes.length, 1)
      const expected = [amd64, arm64, ...ztocs, ...built.Indexes.map(({ Digest }) => Digest)]
      assert.includeMembers([...stored], expected)

      yield* daemon.ctr("images", "rm", "--sync", image)
      assert.deepStrictEqual(yield* content, [])
    })
  )

  it.live("leaves containerd as it is when artifacts go to the soci store", () =>
    Effect.gen(function* () {
      const { image, root, soci, indexDigests, content } = yield* sociOnContainerd("multi-attestation")
      const ended = yield* soci("create", "--content-store", "soci", "--all-platforms", ...small, image)
      assert.strictEqual(ended.code, 0)
      const stored = yield* content
      for (const digest of [amd64, arm64]) assert.notInclude(stored, digest)
      assert.deepStrictEqual(yield* indexDigests, [amd64, arm64])
      const blobs = yield* Effect.promise(() => fs.readdir(path.join(root, "content", "blobs", "sha256")))
      assert.includeMembers(
        blobs,
        [amd64, arm64].map((digest) => digest.slice(7))
      )
      assert.strictEqual(blobs.length, 5)
    })
  )

  it.live("prints one JSON object and nothing else when asked to", () =>
    Effect.gen(function* () {
      const { image, soci } = yield* sociOnContainerd("multi-attestation")
      const ended = yield* soci("create", "--json", ...small, "-p", "linux/amd64", image)
      const [layer, ztoc] = (layers[1] ?? "").replace("layer ", "").split(" -> ztoc ")
      assert.deepStrictEqual(JSON.parse(ended.stdout), {
        Image: image,
        Indexes: [
          {
            Digest: amd64,
            Size: 872,
            Version: "v1",
            Platform: "linux/amd64",
            ManifestDigest: "sha256:b8fdef36b315d77f27f03229e0e3bdd96068844ed575dd1e71c7cf123584c719",
            Ztocs: [{ Digest: ztoc, Size: 33_864, LayerDigest: layer }],
            PrefetchArtifacts: [],
            SkippedLayers: []
          }
        ]
      })
      assert.strictEqual(ended.stderr, "")
    })
  )

  it.live("refuses what is wrong in the order and the words of the reference", () =>
    Effect.gen(function* () {
      const { image, root, soci } = yield* sociOnContainerd("multi-attestation")
      const missing = path.join(root, "missing.json")
      const [none, bad] = [path.join(root, "object.json"), path.join(root, "numbers.json")]
      yield* Effect.promise(() => fs.writeFile(none, "{}"))
      yield* Effect.promise(() => fs.writeFile(bad, '["a", 1]'))
      const list = "failed to parse prefetch files: failed to load prefetch files from JSON:"
      const wrong = ["--span-size", "-1", "--min-layer-size", "-1"]
      for (const [args, reason] of [
        [["--optimizations", "foo"], "source image needs to be specified"],
        [["r/none:v1", "--optimizations", "xattr,foo"], "optimization foo is not a valid optimization [xattr]"],
        [["r/none:v1", "--content-store", "foo"], 'image "r/none:v1": not found'],
        [
          [image, "--content-store", "foo", "-p", "?"],
          "unknown content store type: foo; must be one of [soci containerd]"
        ],
        [
          [image, "--prefetch-files-json", missing, ...wrong],
          `${list} failed to read JSON file: open ${missing}: no such file or directory`
        ],
        [
          [image, "--prefetch-files-json", none, ...wrong],
          `${list} failed to parse JSON: json: cannot unmarshal object into Go value of type []string`
        ],
        [
          [image, "--prefetch-files-json", bad, ...wrong],
          `${list} failed to parse JSON: json: cannot unmarshal number into Go value of type string`
        ],
        [[image, ...wrong], "span size must be >= 0"],
        [[image, "--min-layer-size", "-1"], "min layer size must be >= 0"],
        [
          [image, "-p", "windows/amd64"],
          "image manifest for windows/amd64: not found; the image has linux/amd64, linux/arm64/v8"
        ]
      ] as const) {
        failsWith(yield* soci("create", ...args), reason)
      }
      const platform = yield* soci("create", image, "-p", "no/such/platform/at/all")
      assert.match(platform.stderr, /^soci: could not parse platform no\/such\/platform\/at\/all: .+\n$/)
    })
  )

  it.live("says why each layer was skipped when none is left", () =>
    Effect.gen(function* () {
      const { image, soci, indexDigests } = yield* sociOnContainerd("multi-attestation")
      const ended = yield* soci("create", image)
      assert.strictEqual(ended.code, 1)
      assert.match(
        ended.stdout,
        /^ztoc skipped - layer sha256:[0-9a-f]{64} \(.+\) size \d+ is less than min-layer-size 10485760\n$/
      )
      assert.strictEqual(ended.stderr, "soci: no ztocs created, all layers either skipped or produced errors\n")
      assert.deepStrictEqual(yield* indexDigests, [])
    })
  )

  it.live(
    "makes prefetch artifacts for files of flags and lists, warns of those that are nowhere, and keeps them",
    () =>
      Effect.gen(function* () {
        const { daemon, image, root, soci, content } = yield* sociOnContainerd("multi-attestation")
        yield* soci("create", image, ...small, "-p", "linux/amd64")
        const [layer, ztoc = ""] = (layers[1] ?? "").replace("layer ", "").split(" -> ztoc ")
        const info: { readonly files: ReadonlyArray<{ readonly filename: string; readonly type: string }> } =
          JSON.parse((yield* soci("ztoc", "info", ztoc)).stdout)
        const file = info.files.find(({ type }) => type === "reg")?.filename ?? ""
        const list = path.join(root, "list.json")
        yield* Effect.promise(() => fs.writeFile(list, JSON.stringify([` /${file} `, "", "no/where"])))
        const ended = yield* soci(
          "create",
          image,
          ...small,
          "--prefetch-file",
          "no/such,",
          "--prefetch-files-json",
          list
        )
        assert.strictEqual(ended.code, 0, ended.stderr)
        const [, digest = ""] = /^Created prefetch artifact for layer sha256:\w+: (\S+)$/m.exec(ended.stdout) ?? []
        assert.include(ended.stdout, `Created prefetch artifact for layer ${layer}: ${digest}\n`)
        const warnings = ended.stderr.split("\n").filter((line) => line.includes("level=warning"))
        assert.deepStrictEqual(
          warnings.map((line) => line.replace(/^time="[^"]+" /, "")),
          ["no/such", "no/where"].map((name) => `level=warning msg="prefetch file ${name} not found in any layer"`)
        )
        yield* daemon.collectGarbage
        assert.include(yield* content, digest)
        const listed = yield* soci("prefetch", "list")
        assert.include(listed.stdout, `${digest}    ${layer}    `)
        assert.include((yield* soci("prefetch", "info", digest)).stdout, `Layer Digest:  ${layer}\n`)
      })
  )

  it.live("believes who says what a single manifest is for, as the reference does", () =>
    Effect.gen(function* () {
      const { image, soci } = yield* sociOnContainerd("oci-single")
      yield* soci("create", image, ...small, "-p", "linux/arm64")
      const listed: ReadonlyArray<{ readonly Platform: string }> = JSON.parse(
        (yield* soci("index", "ls", "--json")).stdout
      )
      assert.deepStrictEqual(
        listed.map(({ Platform }) => Platform),
        ["linux/arm64"]
      )
    })
  )

  it.live("keeps the indexes of platforms before the one that failed", () =>
    Effect.gen(function* () {
      const { image, soci, indexDigests } = yield* sociOnContainerd("multi-attestation")
      const ended = yield* soci("create", image, ...small, "-p", "linux/amd64,linux/s390x")
      assert.strictEqual(ended.code, 1)
      assert.include(ended.stderr, "image manifest for linux/s390x: not found")
      assert.deepStrictEqual(yield* indexDigests, [amd64])
    })
  )

  it.live("does not wait for ever for a containerd that is not there", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const address = path.join(directory, "none.sock")
      const ended = yield* runSoci("create", "r/x:y", "--address", address, "--root", directory, "--timeout", "300ms")
      assert.strictEqual(ended.code, 1)
      assert.match(ended.stderr, /^soci: .*context deadline exceeded/)
    })
  )
})

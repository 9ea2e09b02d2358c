import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as ArtifactsDbSqlite from "../../../src/layers/ArtifactsDbSqlite.ts"
import { ArtifactsDb } from "../../../src/services/ArtifactsDb.ts"
import { MediaType } from "../../../src/services/MediaType.ts"
import { digest, indexEntry, ztocEntry } from "../../support/artifactEntries.ts"
import { missingForContainerd } from "../../support/containerd.ts"
import { sociOnContainerd, sortedLines } from "../../support/sociOnContainerd.ts"
import { type Ended, runSoci } from "../../support/sociCommand.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const why = missingForContainerd === "" ? "" : ` (skipped: ${missingForContainerd} is missing)`
const small = ["--min-layer-size", "0", "--span-size", "131072"]
const amd64 = "sha256:091e3bd14e8bcbfa7528c3a9cb08a5d6961151f88f1cde4f23205b9eeaa134ad"
const arm64 = "sha256:bf5379ec5975b1db0d24e9e0f85bfbaffae47fa09f7cf074615fb80d2a193db7"

const failsWith = ({ code, stdout, stderr }: Ended, reason: string) => {
  assert.deepStrictEqual([code, stdout, stderr.split("\n")[0]], [1, "", `soci: ${reason}`])
}

const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000)

const rows = [
  indexEntry("old", { createdAt: hoursAgo(3), platform: "linux/arm64/v8" }),
  indexEntry("new", { createdAt: hoursAgo(1) }),
  indexEntry("v2", { createdAt: hoursAgo(2), artifactType: MediaType.sociIndexV2 }),
  ztocEntry("ztoc")
]

/** A root with rows and without containerd: nobody is at the socket. */
const lonelyRoot = Effect.gen(function* () {
  const root = yield* temporaryDirectory
  yield* ArtifactsDb.use((db) => Effect.forEach(rows, db.write)).pipe(
    Effect.provide(ArtifactsDbSqlite.layer({ path: path.join(root, "artifacts.sqlite") }))
  )
  const where = ["--root", root, "--address", path.join(root, "none.sock"), "--content-store", "soci"]
  return { root, soci: (...args: ReadonlyArray<string>) => runSoci(...args, ...where) }
})

const blanks = (count: number) => " ".repeat(count)

describe("soci index list without containerd", () => {
  it.live("prints the newest first in a table of the reference's widths", () =>
    Effect.gen(function* () {
      const { soci } = yield* lonelyRoot
      const ended = yield* soci("index", "ls")
      assert.deepStrictEqual([ended.code, ended.stderr], [0, ""])
      const [header, ...lines] = ended.stdout.split("\n")
      const widest = Math.max(...lines.map((line) => /\S+ ago +$/.exec(line)?.[0].length ?? 0))
      assert.strictEqual(
        header,
        `DIGEST${blanks(69)}SIZE    IMAGE REF    PLATFORM${blanks(10)}MEDIA TYPE${blanks(36)}MANIFEST VERSION    CREATED${blanks(widest - 7)}`
      )
      const manifest = "application/vnd.oci.image.manifest.v1+json    "
      const cells = `1258${blanks(4)}${blanks(13)}`
      assert.deepStrictEqual(
        lines.map((line) => line.replace(/\d+s ago +$/, "")),
        [
          `${digest("new")}    ${cells}linux/amd64${blanks(7)}${manifest}v1${blanks(18)}1h0m`,
          `${digest("v2")}    ${cells}linux/amd64${blanks(7)}${manifest}v2${blanks(18)}2h0m`,
          `${digest("old")}    ${cells}linux/arm64/v8${blanks(4)}${manifest}v1${blanks(18)}3h0m`,
          ""
        ]
      )
    })
  )

  it.live("finds a platform however it is spelt", () =>
    Effect.gen(function* () {
      const { soci } = yield* lonelyRoot
      for (const spelling of ["linux/arm64", "linux/arm64/v8", "linux/aarch64"]) {
        assert.strictEqual((yield* soci("index", "ls", "-q", "-p", spelling)).stdout, `${digest("old")}\n`)
      }
      assert.strictEqual((yield* soci("index", "ls", "-q", "-p", "linux/s390x")).stdout, "")
      assert.match((yield* soci("index", "ls", "-p", "*")).stderr, /^soci: could not parse platform \*: /)
    })
  )

  it.live("is a JSON array for machines", () =>
    Effect.gen(function* () {
      const { soci } = yield* lonelyRoot
      const listed: ReadonlyArray<unknown> = JSON.parse((yield* soci("index", "ls", "--json")).stdout)
      assert.strictEqual(listed.length, 3)
      assert.deepInclude(listed[0], {
        Digest: digest("new"),
        Size: 1258,
        ImageRef: "",
        Platform: "linux/amd64",
        ManifestVersion: "v1"
      })
      const empty = yield* runSoci("index", "ls", "--json", "--root", yield* temporaryDirectory)
      assert.strictEqual(empty.stdout, "[]\n")
    })
  )
})

describe("soci index info and remove without content", () => {
  it.live("refuse digests and rows in the words of the reference", () =>
    Effect.gen(function* () {
      const { root, soci } = yield* lonelyRoot
      failsWith(yield* soci("index", "info"), "invalid checksum digest format")
      failsWith(yield* soci("index", "info", "foo"), "invalid checksum digest format")
      failsWith(yield* soci("index", "info", "sha256:00"), "invalid checksum digest length")
      failsWith(yield* soci("index", "info", "md5:00"), "unsupported digest algorithm")
      const none = digest("nothing")
      failsWith(yield* soci("index", "info", none), `couldn't retrieve artifact for ${none}, not found`)
      failsWith(
        yield* soci("index", "info", digest("ztoc")),
        'the provided digest is of ztoc not SOCI index. Use "soci ztoc info" command to get detailed info of ztoc'
      )
      failsWith(yield* soci("index", "info", digest("new")), `content digest ${digest("new")}: not found`)

      failsWith(yield* soci("index", "rm", none), `the index of the digest ${none} doesn't exist`)
      failsWith(
        yield* soci("index", "rm", digest("ztoc")),
        `the digest ${digest("ztoc")} does not correspond to an index`
      )
      failsWith(
        yield* soci("index", "rm", none, "--ref", "x"),
        "please provide either index digests or image ref, but not both"
      )
      failsWith(
        yield* runSoci("index", "rm", none, "--root", root, "--content-store", "foo"),
        "cannot create local content store: unknown content store type: foo; must be one of [soci containerd]"
      )
      assert.deepStrictEqual(yield* soci("index", "rm"), { code: 0, stdout: "", stderr: "" })
      const empty = yield* temporaryDirectory
      failsWith(yield* runSoci("index", "info", none, "--root", empty), "soci_artifacts not found")
    })
  )

  it.live("forget an index whose content is gone already", () =>
    Effect.gen(function* () {
      const { soci } = yield* lonelyRoot
      assert.deepStrictEqual(yield* soci("index", "rm", digest("new")), { code: 0, stdout: "", stderr: "" })
      const left = sortedLines((yield* soci("index", "ls", "-q")).stdout)
      assert.sameMembers([...left], [digest("old"), digest("v2")])
    })
  )
})

describe.skipIf(missingForContainerd !== "")(`soci index with containerd${why}`, () => {
  it.live("shows the names of images, and the index as it is stored", () =>
    Effect.gen(function* () {
      const { daemon, image, soci } = yield* sociOnContainerd("multi-attestation")
      yield* soci("create", "--all-platforms", ...small, image)
      yield* daemon.ctr("images", "tag", image, "registry.test/other:name")
      const listed = yield* soci("index", "list", "--ref", image, "-p", "linux/amd64")
      assert.deepStrictEqual(
        listed.stdout.split("\n").map((line) => line.split(/ +/)[2]),
        ["IMAGE", "registry.test/multi-attestation:v1", "registry.test/other:name", undefined]
      )
      const all = yield* soci("index", "list", "-q", "--ref", image)
      assert.deepStrictEqual(sortedLines(all.stdout), [amd64, arm64])
      const info = yield* soci("index", "info", amd64)
      const stored = yield* daemon.ctr("content", "get", amd64)
      assert.strictEqual(info.stdout, `${JSON.stringify(JSON.parse(stored), null, 2)}\n`)
      failsWith(
        yield* soci("index", "list", "--ref", image, "-p", "linux/s390x"),
        "image manifest for platform linux/s390x: not found; the image has linux/amd64, linux/arm64/v8"
      )
      failsWith(yield* soci("index", "list", "--ref", "r/no:ne"), 'image "r/no:ne": not found')
    })
  )

  it.live("removes an index with its label and, once collected, its ztocs; rebuild-db has nothing to bring back", () =>
    Effect.gen(function* () {
      const { daemon, image, soci, content, indexDigests } = yield* sociOnContainerd("multi-attestation")
      yield* soci("create", "--all-platforms", ...small, image)
      assert.deepStrictEqual(yield* soci("index", "rm", amd64), { code: 0, stdout: "", stderr: "" })
      assert.deepStrictEqual(yield* indexDigests, [arm64])
      assert.notInclude(yield* daemon.ctr("images", "ls"), amd64)
      yield* daemon.collectGarbage
      const stored = yield* content
      assert.include(stored, arm64)
      assert.notInclude(stored, "sha256:78c12e4ade6a534039fd09c969837ed0d7e9c4e7defe28119a37f626b08f263b")

      yield* soci("index", "rm", "--ref", image)
      assert.deepStrictEqual(yield* indexDigests, [])
      assert.notInclude(yield* content, arm64)
    })
  )

  it.live("removes from the soci store as well: the blobs are gone, those that others list stay", () =>
    Effect.gen(function* () {
      const { image, root, soci, indexDigests } = yield* sociOnContainerd("multi-attestation")
      const inSoci = (...args: ReadonlyArray<string>) => soci(...args, "--content-store", "soci")
      yield* inSoci("create", "--all-platforms", ...small, image)
      yield* inSoci("index", "rm", amd64)
      const blobs = yield* Effect.promise(() => fs.readdir(path.join(root, "content", "blobs", "sha256")))
      assert.notInclude(blobs, amd64.slice(7))
      assert.include(blobs, arm64.slice(7))
      assert.deepStrictEqual(yield* indexDigests, [arm64])
      const ztocs = yield* inSoci("ztoc", "ls", "-q")
      assert.strictEqual(ztocs.stdout, "sha256:90ebc83e92d3bc5d13027db86cf7a2416c34e6bd95dc232a6aa2aa545046f0d9\n")
    })
  )
})

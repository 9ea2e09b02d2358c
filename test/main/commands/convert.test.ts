import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { missingForContainerd } from "../../support/containerd.ts"
import { caseOf, vectorFile } from "../../support/indexVectors.ts"
import { hasProgram, runProgram } from "../../support/programs.ts"
import { sociOnContainerd, sortedLines } from "../../support/sociOnContainerd.ts"
import { type Ended, runSoci } from "../../support/sociCommand.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const why = missingForContainerd === "" ? "" : ` (skipped: ${missingForContainerd} is missing)`
const tagged = 'the destination image must be a tagged ref of the form "registry/repository:tag": '
const small = ["--min-layer-size", "0", "--span-size", "131072"]

const failsWith = ({ code, stdout, stderr }: Ended, reason: string) => {
  assert.deepStrictEqual([code, stdout, stderr.split("\n")[0]], [1, "", `soci: ${reason}`])
}

/** The image index that the reference made of a vector by its first run. */
const convertedDigest = (vector: string): string => {
  const [run] = caseOf(vector).convert ?? []
  const index: { readonly manifests: ReadonlyArray<{ readonly digest: string }> } = JSON.parse(run?.indexJson ?? "{}")
  return index.manifests[0]?.digest ?? ""
}

describe.skipIf(missingForContainerd !== "")(`soci convert in containerd${why}`, () => {
  for (const { vector, more } of [
    { vector: "oci-single", more: [] },
    { vector: "docker-single", more: [] },
    { vector: "docker-list", more: [] },
    { vector: "multi-attestation", more: ["--rewrite-attestations"] }
  ]) {
    it.live(`gives the image the reference gives, which survives garbage collection: ${vector}`, () =>
      Effect.gen(function* () {
        const { daemon, image, soci, content } = yield* sociOnContainerd(vector)
        const [run] = caseOf(vector).convert ?? []
        const name = `registry.test/${vector}:soci`
        const ended = yield* soci("convert", ...(run?.args ?? []), ...more, image, name)
        assert.strictEqual(ended.code, 0, ended.stderr)
        assert.strictEqual(ended.stderr, `converted image ${convertedDigest(vector)} is ${name}\n`)
        assert.include(yield* daemon.ctr("images", "ls"), convertedDigest(vector))

        yield* daemon.ctr("images", "rm", image)
        yield* daemon.collectGarbage
        const exported = path.join(yield* temporaryDirectory, "image.tar")
        yield* daemon.ctr("images", "export", "--all-platforms", exported, name)
        const files = sortedLines(yield* runProgram("tar", "-tf", exported)).filter((file) =>
          /[0-9a-f]{64}$/.test(file)
        )
        assert.strictEqual(files.length, (yield* content).length)
      })
    )
  }

  it.live(
    "points an existing name to the result, and puts indexes into the soci store too when that is asked for",
    () =>
      Effect.gen(function* () {
        const { daemon, image, root, soci } = yield* sociOnContainerd("oci-single")
        const ended = yield* soci("convert", "--content-store", "soci", ...small, image, image)
        assert.strictEqual(ended.code, 0, ended.stderr)
        const images = yield* daemon.ctr("images", "ls", `name==${image}`)
        const [digest = ""] = /sha256:[0-9a-f]{64}/.exec(images) ?? []
        assert.include(ended.stderr, digest)
        yield* daemon.collectGarbage
        const index: { readonly manifests: ReadonlyArray<{ readonly digest: string }> } = JSON.parse(
          yield* daemon.ctr("content", "get", digest)
        )
        for (const manifest of index.manifests) yield* daemon.ctr("content", "get", manifest.digest)
        const soci2 = index.manifests[1]?.digest.slice(7) ?? ""
        assert.include(yield* Effect.promise(() => fs.readdir(path.join(root, "content", "blobs", "sha256"))), soci2)
      })
  )

  it.live("refuses what is wrong in the order and the words of the reference", () =>
    Effect.gen(function* () {
      const { image, soci } = yield* sociOnContainerd("oci-single")
      failsWith(yield* soci("convert"), "source image needs to be specified")
      failsWith(yield* soci("convert", "r/none:v1"), "destination needs to be specified")
      failsWith(yield* soci("convert", "r/none:v1", "foo"), `${tagged}reference must be tagged`)
      failsWith(yield* soci("convert", "r/none:v1", "r/x:y"), 'image "r/none:v1": not found')
      failsWith(
        yield* soci("convert", image, "r/x:y", "--content-store", "foo"),
        "unknown content store type: foo; must be one of [soci containerd]"
      )
      failsWith(yield* soci("convert", image, "r/x:y", "--span-size", "-1"), "span size must be >= 0")
    })
  )

  it.live("leaves no image record when nothing can be indexed", () =>
    Effect.gen(function* () {
      const { daemon, image, soci } = yield* sociOnContainerd("oci-single")
      const ended = yield* soci("convert", image, "r/x:y")
      assert.strictEqual(ended.stderr, "soci: no ztocs created, all layers either skipped or produced errors\n")
      assert.notInclude(yield* daemon.ctr("images", "ls"), "r/x:y")
    })
  )
})

const convert = (...args: ReadonlyArray<string>) => runSoci("convert", "--standalone", ...small, ...args)

describe("soci convert --standalone", () => {
  it.live("says the same in words and as JSON, whatever the format", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const [archive, layout] = [path.join(directory, "o.tar"), path.join(directory, "o")]
      const input = vectorFile("oci-single/input")
      const first = yield* convert(input, archive)
      assert.deepStrictEqual(
        sortedLines(first.stdout),
        sortedLines((caseOf("oci-single").convert?.[0]?.stdoutLines ?? []).join("\n"))
      )
      assert.strictEqual(first.stderr, `converted image ${convertedDigest("oci-single")} is ${archive}\n`)
      const second = yield* convert("--format", "oci-dir", "--json", archive, layout)
      assert.strictEqual(second.stderr, "")
      const result: unknown = JSON.parse(second.stdout)
      assert.deepInclude(result, { Source: archive, Destination: layout, Digest: convertedDigest("oci-single") })
      const left = yield* Effect.promise(() => fs.readdir(directory))
      assert.sameMembers(left, ["o.tar", "o"])
    })
  )

  it.live("refuses formats and places in the words of the reference, and leaves nothing", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const output = path.join(directory, "out.tar")
      const usage = yield* runSoci("convert", "--standalone", "--format", "foo", "a", "b")
      const reason =
        'invalid value "foo" for flag -format: unsupported output format "foo": must be "oci-archive" or "oci-dir"'
      assert.strictEqual(usage.code, 1)
      assert.include(usage.stderr, `Incorrect Usage: ${reason}\n\n`)
      assert.include(usage.stderr, `soci: ${reason}\n`)
      const missing = path.join(directory, "missing")
      failsWith(
        yield* runSoci("convert", "--standalone", missing, output),
        `failed to access input ${missing}: stat ${missing}: no such file or directory`
      )
      failsWith(yield* runSoci("convert", "--standalone"), "source image needs to be specified")
      failsWith(yield* runSoci("convert", "--standalone", missing), "destination needs to be specified")
      const both = yield* runSoci("convert", "--standalone", "--format", "oci-dir", missing, "docker://r.test/x:y")
      failsWith(both, "--format is for files: docker://r.test/x:y is in a registry")
      const alone = yield* runSoci("convert", "--format", "oci-dir", "--root", directory, "r/x:y", "r/x:z")
      failsWith(alone, "--format is for --standalone: in containerd there are no files to write")
      assert.deepStrictEqual(yield* Effect.promise(() => fs.readdir(directory)), [])
    })
  )

  it.live("needs neither a root directory nor containerd", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const nowhere = path.join(directory, "no", "root")
      const output = path.join(directory, "o")
      const places = ["--root", nowhere, "--address", nowhere, "--content-store", "foo"]
      const input = vectorFile("oci-single/input")
      const ended = yield* runSoci("convert", "--standalone", "--format=oci-dir", ...small, ...places, input, output)
      assert.strictEqual(ended.code, 0, ended.stderr)
    })
  )
})

const skopeo = hasProgram("skopeo")
describe.skipIf(!skopeo)(
  `soci convert --standalone, judged by skopeo${skopeo ? "" : " (skipped: it is missing)"}`,
  () => {
    it.live("is an image that skopeo copies whole", () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const layout = path.join(directory, "o")
        yield* runSoci("convert", "--standalone", "--format=oci-dir", ...small, vectorFile("oci-single/input"), layout)
        yield* runProgram("skopeo", "copy", "--all", `oci:${layout}`, `oci:${path.join(directory, "copy")}:x`)
      })
    )
  }
)

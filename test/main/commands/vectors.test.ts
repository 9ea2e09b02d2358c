import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { missingForContainerd } from "../../support/containerd.ts"
import { caseOf, type Run, vectorFile } from "../../support/indexVectors.ts"
import { sociOnContainerd, sortedLines } from "../../support/sociOnContainerd.ts"

const why = missingForContainerd === "" ? "" : ` (skipped: ${missingForContainerd} is missing)`

const vectors = [
  "compressions",
  "default-span",
  "docker-list",
  "docker-single",
  "duplicate-layers",
  "min-layer-size",
  "multi-attestation",
  "oci-single",
  "prefetch",
  "xattr-optimization"
]

/** The reference does not find files of layers whose names begin with `./`; here they are found. */
const isImproved = ({ args }: Run) => args.includes("dot/file")

/** A layer that an image lists twice is built once here, and said once. */
const lines = (run: Run) => [...new Set(sortedLines((run.stdoutLines ?? []).join("\n")))]

const withoutReuse = (text: string) => sortedLines(text).map((line) => line.replace(/ \(already exists\)$/, ""))

const convertedDigest = ({ indexJson = '{"manifests":[]}' }: Run): string | undefined => {
  const index: { readonly manifests: ReadonlyArray<{ readonly digest: string }> } = JSON.parse(indexJson)
  return index.manifests[0]?.digest
}

describe.skipIf(missingForContainerd !== "")(`the reference's images in containerd${why}`, () => {
  for (const vector of vectors) {
    it.live(`get the reference's indexes, lines and codes by create and convert: ${vector}`, () =>
      Effect.gen(function* () {
        const { create = [], convert = [] } = caseOf(vector)
        const { daemon, image, sociWith } = yield* sociOnContainerd(vector)
        const soci = (...args: ReadonlyArray<string>) => sociWith({ directory: vectorFile(vector) }, ...args)
        for (const run of create.filter((one) => !isImproved(one))) {
          const ended = yield* soci("create", ...run.args, "--content-store", "soci", image)
          assert.strictEqual(ended.code, run.exitCode, ended.stderr)
          assert.deepStrictEqual([...new Set(withoutReuse(ended.stdout))], lines(run))
          const listed = yield* soci("index", "list", "-q")
          assert.includeMembers(
            [...sortedLines(listed.stdout)],
            (run.sociIndexes ?? []).map(({ digest }) => digest)
          )
        }
        for (const [i, run] of convert.entries()) {
          const name = `registry.test/${vector}:soci-${i}`
          const ended = yield* soci("convert", "--rewrite-attestations", ...run.args, image, name)
          assert.strictEqual(ended.code, run.exitCode, ended.stderr)
          assert.deepStrictEqual([...new Set(withoutReuse(ended.stdout))], lines(run))
          if (run.exitCode !== 0) assert.strictEqual(ended.stderr, run.stderr)
          const images = yield* daemon.ctr("images", "ls", `name==${name}`)
          assert.strictEqual(/sha256:[0-9a-f]{64}/.exec(images)?.[0], convertedDigest(run))
        }
      })
    )
  }
})

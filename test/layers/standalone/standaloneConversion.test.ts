import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync, statSync } from "node:fs"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { writeArchive } from "../../../src/layers/standalone/writeArchive.ts"
import { writeLayoutDirectory } from "../../../src/layers/standalone/writeLayoutDirectory.ts"
import { digestOf } from "../../../src/streams/verify.ts"
import { caseOf, vectorFile } from "../../support/indexVectors.ts"
import { convertStandalone } from "../../support/standaloneConversion.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const cases = [
  "child-without-platform",
  "compressions",
  "default-span",
  "docker-list",
  "docker-single",
  "duplicate-layers",
  "flat-index-missing",
  "min-layer-size",
  "multi-attestation",
  "oci-single",
  "prefetch",
  "reconvert",
  "same-manifest-twice",
  "unknown-child",
  "xattr-optimization"
]

/** The reference fails where an image was converted before; ours does not. */
const referenceDefect = (name: string, exitCode: number) => name === "reconvert" && exitCode !== 0

const namesIn = (directory: string): ReadonlyArray<string> =>
  readdirSync(directory, { recursive: true, encoding: "utf8" }).toSorted()

describe("a standalone conversion", () => {
  for (const name of cases) {
    for (const run of caseOf(name).convert ?? []) {
      if (referenceDefect(name, run.exitCode)) continue

      it.live(`gives the archive of the reference, byte for byte: ${name} ${run.args.join(" ")}`, () =>
        Effect.gen(function* () {
          const directory = yield* temporaryDirectory
          const archive = path.join(directory, "out.tar")
          const result = yield* Effect.result(convertStandalone(vectorFile(`${name}/input`), name, run))
          if (run.exitCode !== 0) {
            assert.strictEqual(`soci: ${Result.isFailure(result) ? result.failure.message : ""}`, run.stderr?.trim())
            return
          }
          const { store, converted } = Result.getOrThrow(result)
          yield* writeArchive(store, converted, archive)
          const listed = execFileSync("tar", ["-tf", archive], { encoding: "utf8" }).trim().split("\n")
          assert.deepStrictEqual(
            listed,
            (run.archiveEntries ?? []).map((entry) => entry.name)
          )
          assert.strictEqual(digestOf(readFileSync(archive)), run.archiveSha256)
        })
      )

      if (run.exitCode !== 0) continue
      it.live(`gives the directory of the reference without its garbage: ${name} ${run.args.join(" ")}`, () =>
        Effect.gen(function* () {
          const output = path.join(yield* temporaryDirectory, "new/parent/out")
          const { store, converted } = yield* convertStandalone(vectorFile(`${name}/input`), name, run)
          yield* writeLayoutDirectory(store, converted, output)
          assert.strictEqual(readFileSync(path.join(output, "index.json"), "utf8"), run.indexJson)
          const files = (run.archiveEntries ?? []).map((entry) => entry.name.replace(/\/$/, ""))
          assert.deepStrictEqual(namesIn(output), files.toSorted())
          for (const file of files.filter((entry) => /[0-9a-f]{64}$/.test(entry))) {
            assert.strictEqual(digestOf(readFileSync(path.join(output, file))), `sha256:${path.basename(file)}`)
          }
          assert.strictEqual(statSync(output).mode & 0o777, 0o755)
          assert.strictEqual(statSync(path.join(output, "index.json")).mode & 0o777, 0o644)
        })
      )
    }
  }

  it.live(
    "gives the same from a directory, an archive and a compressed archive, with and without ./ in its names",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const input = vectorFile("oci-single/input")
        const [run] = caseOf("oci-single").convert ?? []
        assert.isDefined(run)
        const tars = [
          ["plain.tar", ["-cf"], ["blobs", "index.json", "oci-layout"]],
          ["dots.tar", ["-cf"], ["."]],
          ["gzip.tar.gz", ["-czf"], ["."]]
        ] as const
        for (const [file, flags, members] of tars) {
          const archive = path.join(directory, file)
          execFileSync("tar", ["-C", input, ...flags, archive, ...members])
          yield* Effect.scoped(
            Effect.gen(function* () {
              const { store, converted } = yield* convertStandalone(archive, "oci-single", run)
              yield* writeArchive(store, converted, archive)
            })
          )
          assert.strictEqual(digestOf(yield* Effect.promise(() => fs.readFile(archive))), run.archiveSha256)
        }
        assert.deepStrictEqual(namesIn(directory), tars.map(([file]) => file).toSorted())
      })
  )
})

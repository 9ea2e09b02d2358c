import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, readdirSync } from "node:fs"
import * as path from "node:path"
import { writeArchive } from "../../../src/layers/standalone/writeArchive.ts"
import { writeLayoutDirectory } from "../../../src/layers/standalone/writeLayoutDirectory.ts"
import { caseOf, vectorFile } from "../../support/indexVectors.ts"
import { hasProgram, runProgram } from "../../support/programs.ts"
import { convertStandalone } from "../../support/standaloneConversion.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const cases = ["oci-single", "docker-list", "multi-attestation", "prefetch", "default-span"]

const listedIn = (raw: string): ReadonlyArray<string> => {
  const index: { readonly manifests: ReadonlyArray<{ readonly digest: string }> } = JSON.parse(raw)
  return index.manifests.map(({ digest }) => digest)
}

const converted = Effect.fnUntraced(function* (name: string) {
  const [run] = caseOf(name).convert ?? []
  assert.isDefined(run)
  const { store, converted: root } = yield* convertStandalone(vectorFile(`${name}/input`), name, run)
  const directory = yield* temporaryDirectory
  const [archive, layout] = [path.join(directory, "out.tar"), path.join(directory, "layout")]
  yield* writeArchive(store, root, archive)
  yield* writeLayoutDirectory(store, root, layout)
  return { root, directory, archive, layout }
})

describe.skipIf(!hasProgram("skopeo"))("converted images by the judgement of skopeo (skipped without it)", () => {
  for (const name of cases) {
    it.live(`can be inspected and copied whole, as archive and as directory: ${name}`, () =>
      Effect.gen(function* () {
        const { root, directory, archive, layout } = yield* converted(name)
        for (const [form, source] of [
          ["archive", `oci-archive:${archive}`],
          ["layout", `oci:${layout}`]
        ] as const) {
          const raw = yield* runProgram("skopeo", "inspect", "--raw", source)
          assert.strictEqual(Buffer.byteLength(raw), root.size)
          const copy = path.join(directory, `copy-of-${form}`)
          yield* runProgram("skopeo", "--insecure-policy", "copy", "--all", source, `oci:${copy}`)
          // Older versions write indexes anew, without artifact types; what they list stays the same.
          assert.deepStrictEqual(
            listedIn(yield* runProgram("skopeo", "inspect", "--raw", `oci:${copy}`)),
            listedIn(raw)
          )
        }
      })
    )
  }
})

describe.skipIf(!hasProgram("skopeo") || !hasProgram("umoci"))(
  "converted images by the judgement of umoci (skipped without umoci and skopeo)",
  () => {
    for (const name of ["oci-single", "default-span", "duplicate-layers"]) {
      it.live(`unpack to a root file system: ${name}`, () =>
        Effect.gen(function* () {
          const { directory, layout } = yield* converted(name)
          // umoci takes one manifest by its tag: skopeo picks the platform's and names it.
          const image = path.join(directory, "image")
          yield* runProgram("skopeo", "--insecure-policy", "copy", `oci:${layout}`, `oci:${image}:latest`)
          const bundle = path.join(directory, "bundle")
          yield* runProgram("umoci", "unpack", "--rootless", "--image", `${image}:latest`, bundle)
          assert.isTrue(existsSync(path.join(bundle, "rootfs")))
          assert.isNotEmpty(readdirSync(path.join(bundle, "rootfs")))
        })
      )
    }
  }
)

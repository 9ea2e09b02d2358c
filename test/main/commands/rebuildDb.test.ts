import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { missingForContainerd } from "../../support/containerd.ts"
import { sociOnContainerd, sortedLines } from "../../support/sociOnContainerd.ts"
import { runSoci } from "../../support/sociCommand.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const why = missingForContainerd === "" ? "" : ` (skipped: ${missingForContainerd} is missing)`
const small = ["--min-layer-size", "0", "--span-size", "131072"]

const forget = (root: string) =>
  Effect.promise(async () => {
    const files = (await fs.readdir(root)).filter((name) => name.startsWith("artifacts.sqlite"))
    for (const name of files) await fs.rm(path.join(root, name))
    return files.length
  })

describe.skipIf(missingForContainerd !== "")(`soci rebuild-db${why}`, () => {
  for (const store of ["containerd", "soci"]) {
    it.live(`finds the indexes of both versions, and ztocs, after the data base was lost: ${store}`, () =>
      Effect.gen(function* () {
        const { image, root, soci } = yield* sociOnContainerd("multi-attestation")
        const on = (...args: ReadonlyArray<string>) => soci(...args, "--content-store", store)
        const listed = Effect.all([on("index", "ls", "-q"), on("ztoc", "ls", "-q")]).pipe(
          Effect.map((lists) => lists.map(({ stdout }) => sortedLines(stdout)))
        )
        yield* on("create", "--all-platforms", ...small, image)
        yield* on("convert", ...small, image, "registry.test/converted:v1")
        const before = yield* listed
        assert.deepStrictEqual(
          before.map((list) => list.length),
          [3, 2]
        )
        assert.isAbove(yield* forget(root), 0)
        const ended = yield* on("rebuild-db")
        assert.deepStrictEqual(ended, { code: 0, stdout: "", stderr: "" })
        assert.deepStrictEqual(yield* listed, before)
        const pushable = yield* on("push", "--existing-index", "foo", image)
        assert.include(pushable.stderr, "unexpected value")
      })
    )

    it.live(`does not bring back what was removed: ${store}`, () =>
      Effect.gen(function* () {
        const { image, soci } = yield* sociOnContainerd("multi-attestation")
        const on = (...args: ReadonlyArray<string>) => soci(...args, "--content-store", store)
        yield* on("create", "--all-platforms", ...small, image)
        yield* on("index", "rm", "--ref", image)
        yield* on("rebuild-db")
        assert.strictEqual((yield* on("index", "ls", "-q")).stdout, "")
      })
    )
  }

  it.live("works where nothing has been built yet, and where containerd keeps its content is of no interest", () =>
    Effect.gen(function* () {
      const { soci } = yield* sociOnContainerd("oci-single")
      assert.deepStrictEqual(yield* soci("rebuild-db"), { code: 0, stdout: "", stderr: "" })
    })
  )
})

describe("soci rebuild-db without containerd", () => {
  it.live("says whom it cannot reach", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const ended = yield* runSoci(
        "rebuild-db",
        "--root",
        root,
        "--address",
        path.join(root, "none"),
        "--timeout",
        "1s"
      )
      assert.strictEqual(ended.code, 1)
      assert.match(ended.stderr, /context deadline exceeded/)
    })
  )
})

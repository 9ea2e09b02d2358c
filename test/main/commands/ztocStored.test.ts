import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { missingForContainerd } from "../../support/containerd.ts"
import { sociOnContainerd, sortedLines } from "../../support/sociOnContainerd.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"
import { untar } from "../../support/untar.ts"

const why = missingForContainerd === "" ? "" : ` (skipped: ${missingForContainerd} is missing)`
const small = ["--min-layer-size", "0", "--span-size", "131072"]
const arm64Ztoc = "sha256:90ebc83e92d3bc5d13027db86cf7a2416c34e6bd95dc232a6aa2aa545046f0d9"
const amd64Ztoc = "sha256:78c12e4ade6a534039fd09c969837ed0d7e9c4e7defe28119a37f626b08f263b"
const amd64Layer = "sha256:c86478101efebc11883baace7d5d0ceb8bba65de951974a496389d1c1d1831d1"

describe.skipIf(missingForContainerd !== "")(`soci ztoc on containerd${why}`, () => {
  for (const store of ["containerd", "soci"]) {
    it.live(`lists the ztocs of an image's indexes, out of the store they are in: ${store}`, () =>
      Effect.gen(function* () {
        const { image, soci } = yield* sociOnContainerd("multi-attestation")
        const on = (...args: ReadonlyArray<string>) => soci(...args, "--content-store", store)
        yield* on("create", "--all-platforms", ...small, image)
        assert.deepStrictEqual(sortedLines((yield* on("ztoc", "ls", "-q", "--image-ref", image)).stdout), [
          amd64Ztoc,
          arm64Ztoc
        ])
        const one = yield* on("ztoc", "ls", "-q", "--image-ref", image, "--ztoc-digest", amd64Ztoc)
        assert.strictEqual(one.stdout, `${amd64Ztoc}\n`)
        const other = yield* on("ztoc", "ls", "--image-ref", image, "--ztoc-digest", amd64Layer)
        assert.strictEqual(
          other.stderr,
          "soci: the specified ztoc doesn't exist or is not associated with the specified image\n"
        )
        assert.strictEqual(
          (yield* on("ztoc", "ls", "--image-ref", "r/no:ne")).stderr,
          'soci: image "r/no:ne": not found\n'
        )
      })
    )
  }

  it.live("gets files out of the layer that containerd has, by its ztoc", () =>
    Effect.gen(function* () {
      const { daemon, image, root, soci } = yield* sociOnContainerd("multi-attestation")
      yield* soci("create", "-p", "linux/amd64", ...small, image)
      const info: { readonly files: ReadonlyArray<{ readonly filename: string; readonly type: string }> } = JSON.parse(
        (yield* soci("ztoc", "info", amd64Ztoc)).stdout
      )
      const blob = path.join(
        daemon.root,
        "io.containerd.content.v1.content/blobs/sha256",
        amd64Layer.slice("sha256:".length)
      )
      const directory = yield* temporaryDirectory
      const files = info.files.filter(({ type }) => type === "reg")
      assert.isNotEmpty(files)
      for (const { filename } of files.slice(0, 3)) {
        const output = path.join(directory, "out")
        const ended = yield* soci("ztoc", "get-file", "-o", output, amd64Ztoc, filename)
        assert.deepStrictEqual([ended.code, ended.stderr], [0, ""])
        const expected = yield* untar(blob, filename)
        assert.isTrue((yield* Effect.promise(() => fs.readFile(output))).equals(expected))
        assert.strictEqual((yield* Effect.promise(() => fs.stat(output))).mode & 0o777, 0o644)
      }
      const absent = yield* soci("ztoc", "get-file", amd64Ztoc, "no/such/file")
      assert.strictEqual(absent.stderr, "soci: file no/such/file does not exist in metadata\n")
      yield* daemon.ctr("content", "rm", amd64Layer)
      const gone = yield* soci("ztoc", "get-file", amd64Ztoc, files[0]?.filename ?? "")
      assert.strictEqual(gone.stderr, `soci: content digest ${amd64Layer}: not found\n`)
      assert.include(yield* Effect.promise(() => fs.readdir(root)), "artifacts.sqlite")
    })
  )
})

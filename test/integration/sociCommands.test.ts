import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { missingForContainerd } from "../support/containerd.ts"
import { dockerRegistry } from "../support/dockerRegistry.ts"
import { canFuse, canOverlay } from "../support/kernelFeatures.ts"
import { hasProgram } from "../support/programs.ts"
import { sociOnContainerd, sortedLines } from "../support/sociOnContainerd.ts"
import { startSoci } from "../support/sociCommand.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { untar } from "../support/untar.ts"

const missing = [
  missingForContainerd,
  hasProgram("docker-registry") ? "" : "docker-registry",
  canFuse && canOverlay ? "" : "/dev/fuse or overlay"
].filter((name) => name !== "")
const why = missing.length === 0 ? "" : ` (skipped: ${missing.join(", ")} is missing)`

const small = ["--min-layer-size", "0", "--span-size", "131072"]
const amd64 = "sha256:091e3bd14e8bcbfa7528c3a9cb08a5d6961151f88f1cde4f23205b9eeaa134ad"
const amd64Layer = "c86478101efebc11883baace7d5d0ceb8bba65de951974a496389d1c1d1831d1"
const amd64Ztoc = "sha256:78c12e4ade6a534039fd09c969837ed0d7e9c4e7defe28119a37f626b08f263b"

/** Mounts an image, runs something with the line that says how, and unmounts by Ctrl-C. */
const whileMounted = <A, E, R>(image: string, use: (mountPoint: string, line: string) => Effect.Effect<A, E, R>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const [root, mountPoint] = [yield* temporaryDirectory, yield* temporaryDirectory]
      const { child, ended, stdout } = yield* startSoci(["mount", "--root", root, image, mountPoint])
      yield* Effect.sync(stdout).pipe(
        Effect.repeat({ until: (text) => text.includes("mounted"), schedule: Schedule.spaced("20 millis") }),
        Effect.timeout("30 seconds")
      )
      const result = yield* use(mountPoint, stdout())
      child.kill("SIGINT")
      assert.strictEqual((yield* ended).code, 130)
      return result
    })
  )

describe.skipIf(missing.length > 0)(`an image's way through the commands${why}`, () => {
  it.live("is indexed and pushed from containerd, found by its referrers, and mounted lazily", () =>
    Effect.gen(function* () {
      const { host } = yield* dockerRegistry()
      const { daemon, image, soci } = yield* sociOnContainerd("multi-attestation", host)
      yield* daemon.ctr("images", "push", "--plain-http", image)
      yield* soci("create", ...small, image)
      assert.deepStrictEqual(sortedLines((yield* soci("index", "list", "-q")).stdout), [amd64])
      assert.strictEqual((yield* soci("push", image)).code, 0)

      const info: { readonly files: ReadonlyArray<{ readonly filename: string; readonly type: string }> } = JSON.parse(
        (yield* soci("ztoc", "info", amd64Ztoc)).stdout
      )
      const blob = path.join(daemon.root, "io.containerd.content.v1.content/blobs/sha256", amd64Layer)
      const file = info.files.find(({ type }) => type === "reg")?.filename ?? ""
      const expected = yield* untar(blob, file)
      const check = Effect.fnUntraced(function* (mountPoint: string, line: string, how: string) {
        assert.include(line, how)
        assert.include(line, "1 of 1 layers lazy")
        const read = yield* Effect.promise(() => fs.readFile(path.join(mountPoint, file)))
        assert.isTrue(read.equals(expected))
      })
      yield* whileMounted(image, (mountPoint, line) => check(mountPoint, line, `${amd64} (v1 referrer)`))

      const converted = `${host}/multi-attestation:soci`
      const from = ["convert", "--standalone", ...small, `docker://${image}`, `docker://${converted}`]
      assert.strictEqual((yield* soci(...from)).code, 0)
      yield* whileMounted(converted, (mountPoint, line) => check(mountPoint, line, "(v2 annotation)"))
    })
  )

  it.live("is converted in containerd and pushed by containerd, and carries its index to where it is mounted", () =>
    Effect.gen(function* () {
      const { host } = yield* dockerRegistry()
      const { daemon, image, soci } = yield* sociOnContainerd("oci-single", host)
      const converted = `${host}/oci-single:soci`
      assert.strictEqual((yield* soci("convert", ...small, image, converted)).code, 0)
      yield* daemon.ctr("images", "push", "--plain-http", converted)
      yield* whileMounted(converted, (mountPoint, line) =>
        Effect.gen(function* () {
          assert.include(line, "2 of 2 layers lazy")
          assert.isNotEmpty(yield* Effect.promise(() => fs.readdir(mountPoint)))
        })
      )
    })
  )
})

import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { dockerRegistry } from "../../support/dockerRegistry.ts"
import { missingForContainerd } from "../../support/containerd.ts"
import { hasProgram, runProgram } from "../../support/programs.ts"
import { sociOnContainerd, sortedLines } from "../../support/sociOnContainerd.ts"
import { runSoci, startSoci } from "../../support/sociCommand.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const why = missingForContainerd === "" ? "" : ` (skipped: ${missingForContainerd} is missing)`
const small = ["--min-layer-size", "0", "--span-size", "131072"]
const amd64 = "sha256:091e3bd14e8bcbfa7528c3a9cb08a5d6961151f88f1cde4f23205b9eeaa134ad"
const arm64 = "sha256:bf5379ec5975b1db0d24e9e0f85bfbaffae47fa09f7cf074615fb80d2a193db7"

/** A file system in memory of so many bytes, unmounted with the scope. */
const tmpfs = Effect.fnUntraced(function* (size: string) {
  const directory = yield* temporaryDirectory
  yield* Effect.acquireRelease(
    Effect.orDie(runProgram("mount", "-t", "tmpfs", "-o", `size=${size}`, "none", directory)),
    () => Effect.orDie(runProgram("umount", "-l", directory))
  )
  return directory
})

const saysInOneLine = (stderr: string, text: RegExp) => {
  assert.match(stderr, /^soci: [^\n]*\n$/)
  assert.match(stderr, text)
}

const socketsOf = async (pid: number | undefined): Promise<number> => {
  const directory = `/proc/${pid}/fd`
  const links = await Promise.all(
    (await fs.readdir(directory)).map((name) => fs.readlink(path.join(directory, name)).catch(() => ""))
  )
  return links.filter((link) => link.startsWith("socket:")).length
}

/** Waits until a process has more sockets than its two outputs: it talks to containerd. */
const isConnected = (pid: number | undefined) =>
  Effect.promise(() => socketsOf(pid)).pipe(
    Effect.repeat({ until: (sockets) => sockets > 2, schedule: Schedule.spaced("10 millis") }),
    Effect.timeout("20 seconds")
  )

describe.skipIf(missingForContainerd !== "")(`soci in adversity${why}`, () => {
  it.live("says that the disk is full, leaves no parts, and goes on once there is room", () =>
    Effect.gen(function* () {
      const { daemon, image } = yield* sociOnContainerd("multi-attestation")
      const root = yield* tmpfs("1m")
      const where = ["--root", root, "--address", daemon.address, "--content-store", "soci"]
      const filler = path.join(root, "filler")
      for (const kilobytes of [16, 48, 96, 144]) {
        yield* Effect.promise(() => fs.writeFile(filler, new Uint8Array((1024 - kilobytes) * 1024)))
        const full = yield* runSoci("create", "--all-platforms", ...small, image, ...where)
        assert.strictEqual(full.code, 1, full.stdout)
        saysInOneLine(full.stderr, /no space|disk is full|ENOSPC|disk I\/O error/i)
        const files = yield* Effect.promise(() => fs.readdir(root, { recursive: true }))
        assert.deepStrictEqual(
          files.filter((file) => /ingest\/.|\.tmp/.test(file)),
          []
        )
        yield* Effect.promise(() => fs.rm(filler))
      }
      const ended = yield* runSoci("create", "--all-platforms", ...small, image, ...where)
      assert.strictEqual(ended.code, 0, ended.stderr)
    })
  )

  it.live("says that it may not write, and lists nothing it cannot open", () =>
    Effect.gen(function* () {
      const { daemon, image } = yield* sociOnContainerd("multi-attestation")
      const root = yield* tmpfs("1m")
      yield* runProgram("mount", "-o", "remount,ro", root)
      for (const args of [
        ["create", image],
        ["index", "list"]
      ]) {
        const ended = yield* runSoci(...args, "--root", root, "--address", daemon.address)
        assert.strictEqual(ended.code, 1)
        saysInOneLine(ended.stderr, /read-only|unable to open/i)
      }
    })
  )

  it.live("is run twice at once on one root", () =>
    Effect.gen(function* () {
      const { image, soci, indexDigests } = yield* sociOnContainerd("multi-attestation")
      const runs = yield* Effect.all(
        [
          soci("create", "--content-store", "soci", "--all-platforms", "--force", ...small, image),
          soci("create", "--content-store", "soci", "--all-platforms", "--force", ...small, image),
          soci("create", "--all-platforms", ...small, image),
          soci("convert", ...small, image, "registry.test/converted:v1")
        ],
        { concurrency: "unbounded" }
      )
      for (const { code, stderr } of runs) assert.strictEqual(code, 0, stderr)
      assert.includeMembers([...(yield* indexDigests)], [amd64, arm64])
    })
  )

  it.live("is killed at any moment, and the next run finds nothing broken", () =>
    Effect.gen(function* () {
      const { daemon, image, root, soci, indexDigests } = yield* sociOnContainerd("multi-attestation")
      for (const store of ["soci", "containerd"]) {
        const where = ["--root", root, "--address", daemon.address, "--content-store", store]
        for (let millis = 250; millis <= 700; millis += 75) {
          yield* Effect.scoped(
            Effect.gen(function* () {
              const { child, ended } = yield* startSoci([
                "create",
                "--force",
                "--all-platforms",
                ...small,
                image,
                ...where
              ])
              yield* Effect.sleep(millis)
              child.kill("SIGKILL")
              yield* ended
            })
          )
          const listed = yield* soci("index", "list", "-q", "--content-store", store)
          assert.strictEqual(listed.stderr, "")
        }
        const whole = yield* soci("create", "--all-platforms", ...small, image, "--content-store", store)
        assert.strictEqual(whole.code, 0, whole.stderr)
        assert.deepStrictEqual(yield* indexDigests, [amd64, arm64])
        for (const digest of [amd64, arm64]) {
          assert.strictEqual((yield* soci("index", "info", digest, "--content-store", store)).code, 0)
        }
      }
    })
  )

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it.live(`ends with 130 on ${signal}, and containerd keeps no lease of it`, () =>
      Effect.gen(function* () {
        const { daemon, image, root } = yield* sociOnContainerd("multi-attestation")
        yield* daemon.signal("SIGSTOP")
        const args = ["create", "--all-platforms", ...small, image, "--root", root, "--address", daemon.address]
        const { child, ended } = yield* startSoci(args)
        yield* isConnected(child.pid)
        child.kill(signal)
        yield* daemon.signal("SIGCONT")
        const { code, stderr } = yield* ended
        assert.deepStrictEqual([code, stderr], [130, ""])
        assert.strictEqual(yield* daemon.ctr("leases", "ls", "-q"), "")
      })
    )
  }

  it.live("is killed while it converts, and the next run gives the whole image", () =>
    Effect.gen(function* () {
      const { daemon, image, root, soci } = yield* sociOnContainerd("multi-attestation")
      const converted = "registry.test/converted:v1"
      const args = [
        "convert",
        "--all-platforms",
        ...small,
        image,
        converted,
        "--root",
        root,
        "--address",
        daemon.address
      ]
      for (let millis = 300; millis <= 800; millis += 125) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { child, ended } = yield* startSoci(args)
            yield* Effect.sleep(millis)
            child.kill("SIGKILL")
            yield* ended
          })
        )
        yield* daemon.collectGarbage
      }
      assert.strictEqual((yield* soci(...args)).code, 0)
      yield* daemon.ctr("images", "rm", image)
      yield* daemon.collectGarbage
      const exported = path.join(yield* temporaryDirectory, "image.tar")
      yield* daemon.ctr("images", "export", "--all-platforms", exported, converted)
    })
  )

  it.live("says which content of an image is missing", () =>
    Effect.gen(function* () {
      const { daemon, image, soci } = yield* sociOnContainerd("multi-attestation")
      const manifest = "sha256:b8fdef36b315d77f27f03229e0e3bdd96068844ed575dd1e71c7cf123584c719"
      const layer = "sha256:c86478101efebc11883baace7d5d0ceb8bba65de951974a496389d1c1d1831d1"
      yield* daemon.ctr("content", "rm", layer)
      const noLayer = yield* soci("create", ...small, image)
      saysInOneLine(noLayer.stderr, new RegExp(`errors encountered while building soci layers; .*${layer}`))
      yield* daemon.ctr("content", "rm", manifest)
      const noManifest = yield* soci("create", ...small, image)
      assert.strictEqual(noManifest.stderr, `soci: content digest ${manifest}: not found\n`)
      const unconverted = yield* soci("convert", "-p", "linux/amd64", ...small, image, "r/x:y")
      assert.strictEqual(unconverted.stderr, `soci: content digest ${manifest}: not found\n`)
      assert.notInclude(sortedLines(yield* daemon.ctr("images", "ls", "-q")), "r/x:y")
    })
  )

  it.live.skipIf(!hasProgram("docker-registry"))(
    "pushes without credentials where docker's configuration is broken, and warns",
    () =>
      Effect.gen(function* () {
        const { host } = yield* dockerRegistry()
        const { image, soci, sociWith } = yield* sociOnContainerd("multi-attestation", host)
        yield* soci("create", ...small, image)
        const directory = yield* temporaryDirectory
        yield* Effect.promise(() => fs.writeFile(path.join(directory, "config.json"), '{"auths": {"secret'))
        const ended = yield* sociWith({ environment: { DOCKER_CONFIG: directory } }, "push", image)
        assert.strictEqual(ended.code, 0, ended.stderr)
        assert.notInclude(ended.stderr, "secret")
      })
  )
})

import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule, Schema } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as ContentStoreLayout from "../../src/layers/ContentStoreLayout.ts"
import { containerdFindings } from "../../src/main/doctor/containerdFindings.ts"
import { type Finding, formatFinding } from "../../src/main/doctor/Finding.ts"
import { parseMountTable } from "../../src/main/doctor/mountTable.ts"
import { findStale } from "../../src/main/doctor/staleMounts.ts"
import { ContentStore } from "../../src/services/ContentStore.ts"
import { containerd, missingForContainerd } from "../support/containerd.ts"
import { dockerRegistry } from "../support/dockerRegistry.ts"
import { storeImageOf } from "../support/imageOf.ts"
import { canErofs, canFuse, canOverlay } from "../support/kernelFeatures.ts"
import { hasProgram, runProgram } from "../support/programs.ts"
import { runSoci, runSociWith, startSoci } from "../support/sociCommand.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const Report = Schema.fromJsonString(
  Schema.Struct({
    ok: Schema.Boolean,
    findings: Schema.Array(
      Schema.Struct({
        subject: Schema.String,
        state: Schema.Literals(["ok", "missing", "broken"]),
        needed: Schema.Boolean,
        detail: Schema.String,
        remedy: Schema.String
      })
    )
  })
)

const decodeReport = Schema.decodeUnknownSync(Report)

const states = (findings: ReadonlyArray<Finding>) =>
  Object.fromEntries(findings.map(({ subject, state }) => [subject, state]))

/** A doctor that waits for no containerd of the machine. */
const examined = Effect.fnUntraced(function* (
  environment: Readonly<Record<string, string>>,
  ...args: ReadonlyArray<string>
) {
  const ended = yield* runSociWith({ environment }, "doctor", "--json", "--address", "/nonexistent/socket", ...args)
  const { ok, findings } = decodeReport(ended.stdout)
  return { ...ended, ok, findings, states: states(findings) }
})

const layoutImage = Effect.gen(function* () {
  const layout = yield* temporaryDirectory
  const store = yield* Layer.build(ContentStoreLayout.layer({ root: layout }))
  const files = [[{ name: "hello", content: "hello\n" }], [{ name: "more", content: "more\n" }]]
  yield* Effect.provide(
    Effect.flatMap(ContentStore, (content) => storeImageOf(content, "v1", files)),
    store
  )
  return layout
}).pipe(Effect.provide(NodeServices.layer))

describe("what the doctor says", () => {
  const finding: Finding = {
    subject: "EROFS",
    state: "missing",
    needed: false,
    detail: "none",
    remedy: "modprobe erofs"
  }

  it("tells the state, what it means and what to do", () => {
    assert.strictEqual(formatFinding(finding), "missing  EROFS: none (can do without)\n         -> modprobe erofs")
    assert.strictEqual(formatFinding({ ...finding, state: "ok", remedy: "" }), "ok       EROFS: none")
  })

  it("lets no name write on the terminal", () =>
    assert.strictEqual(
      formatFinding({ ...finding, state: "ok", remedy: "", detail: "a\u001b[2Jb" }),
      "ok       EROFS: a [2Jb"
    ))

  it("reads the kernel's table of mounts, with blanks in names", () => {
    const [entry] = parseMountTable(
      String.raw`36 35 98:0 / /mnt\040a rw,noatime master:1 - overlay overlay ro,lowerdir=/x\0401:/y` + "\n"
    )
    assert.deepStrictEqual(entry, { mountPoint: "/mnt a", fileSystem: "overlay", options: "ro,lowerdir=/x 1:/y" })
  })
})

describe("soci doctor", () => {
  it.live("looks at kernel, native code and directories, and ends with 0 where nothing needed is missing", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const { code, ok, states: found } = yield* examined({ DOCKER_CONFIG: root }, "--root", root)
      assert.include(found, { kernel: "ok", koffi: "ok", pako: "ok", "zlib of Node": "ok", "root directory": "ok" })
      assert.include(found, { containerd: "missing", "stale mounts": "ok", "docker configuration": "ok" })
      if (canFuse) assert.strictEqual(found["FUSE"], "ok")
      if (canOverlay) assert.strictEqual(found["overlay"], "ok")
      if (canErofs) assert.strictEqual(found["EROFS"], "ok")
      assert.strictEqual(ok, canFuse && canOverlay)
      assert.strictEqual(code, ok ? 0 : 1)
    })
  )

  it.live("ends with 1 where the root directory cannot be written, and says what to do", () =>
    Effect.gen(function* () {
      const ended = yield* runSoci("doctor", "--address", "/nonexistent/socket", "--root", "/proc")
      assert.strictEqual(ended.code, 1, ended.stdout)
      assert.match(ended.stdout, /^broken {3}root directory: .*\n {9}-> .*give another --root$/m)
      assert.match(ended.stdout, /\nNeeded and not there: .*root directory\.\n$/)
      assert.strictEqual(ended.stderr, "")
    })
  )

  it.live("finds credential helpers that are named and not there, and quotes no secret", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const secret = Buffer.from("me:verysecret").toString("base64")
      const configuration = { auths: { "reg.test": { auth: secret } }, credsStore: "nowhere-to-be-found" }
      const file = path.join(directory, "config.json")
      yield* Effect.promise(() => fs.writeFile(file, JSON.stringify(configuration)))
      const first = yield* examined({ DOCKER_CONFIG: directory }, "--root", directory)
      assert.strictEqual(first.states["credential helper nowhere-to-be-found"], "broken")
      assert.include(first.stdout, "logins for reg.test")
      yield* Effect.promise(() => fs.writeFile(file, `{ "auths": ${secret}`))
      const second = yield* examined({ DOCKER_CONFIG: directory }, "--root", directory)
      assert.strictEqual(second.states["docker configuration"], "broken")
      assert.notInclude(first.stdout + second.stdout, secret)
    })
  )
})

describe("findStale", () => {
  it.live("takes no directory whose process runs, and none that is not named as ours are", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const gone = yield* Effect.scoped(
        Effect.gen(function* () {
          const { child, ended } = yield* startSoci(["--version"])
          yield* ended
          return child.pid
        })
      )
      const names = [`${gone}-abcDEF`, `${process.pid}-abcDEF`, `${gone}-abc`, "0-abcDEF", "kept"]
      for (const name of names) {
        yield* Effect.promise(() => fs.mkdir(path.join(root, "mount", name), { recursive: true }))
      }
      yield* Effect.promise(() => fs.symlink(root, path.join(root, "mount", `${gone}-symbol`)))
      const stale = yield* findStale(root)
      const parent = yield* Effect.promise(() => fs.realpath(path.join(root, "mount")))
      assert.deepStrictEqual(stale, [{ directory: path.join(parent, `${gone}-abcDEF`), mounts: [], dependents: [] }])
      assert.deepStrictEqual(yield* findStale(path.join(root, "nothing")), [])
    })
  )
})

const why = missingForContainerd === "" ? "" : ` (skipped: ${missingForContainerd} needed)`

describe.skipIf(missingForContainerd !== "")(`the doctor and containerd${why}`, () => {
  it.live("tells version and namespaces, and how our snapshotter is registered", () =>
    Effect.gen(function* () {
      const { address, ctr } = yield* containerd()
      yield* ctr("namespaces", "create", "default")
      const findings = yield* containerdFindings({ address, namespace: "default" })
      assert.deepStrictEqual(states(findings), {
        containerd: "ok",
        "containerd namespaces": "ok",
        "soci snapshotter": "missing"
      })
      assert.match(findings[0]?.detail ?? "", /^version \d+\.\d+/)
      assert.include(findings[2]?.remedy, "[proxy_plugins.soci]")
      const other = yield* containerdFindings({ address, namespace: "none-of-these" })
      assert.strictEqual(other[1]?.state, "missing")
    })
  )

  it.live("sees our snapshotter among containerd's plugins", () =>
    Effect.gen(function* () {
      const config = '[proxy_plugins.soci]\ntype = "snapshot"\naddress = "/nonexistent/soci.sock"'
      const { address } = yield* containerd({ config })
      const findings = yield* containerdFindings({ address, namespace: "default" })
      assert.strictEqual(states(findings)["soci snapshotter"], "ok")
    })
  )
})

const registryTools = ["docker-registry", "skopeo"].filter((name) => !hasProgram(name))
const registryWhy = registryTools.length === 0 ? "" : ` (skipped: ${registryTools.join(", ")} needed)`

describe.skipIf(registryTools.length > 0)(`the doctor and a registry${registryWhy}`, () => {
  it.live("goes the way of a mount: credentials, ranges, referrers, index", () =>
    Effect.gen(function* () {
      const { host } = yield* dockerRegistry({ password: true })
      const [directory, layout] = [yield* temporaryDirectory, yield* layoutImage]
      const name = `${host}/app:v1`
      const target = ["--dest-tls-verify=false", "--dest-creds", "me:secret", `docker://${name}`] as const
      yield* runProgram("skopeo", "copy", `oci:${layout}:v1`, ...target)
      const environment = { DOCKER_CONFIG: directory }
      const anybody = yield* examined(environment, "--root", directory, name)
      assert.strictEqual(anybody.code, 1)
      assert.strictEqual(anybody.states["image"], "broken")
      const {
        findings,
        states: found,
        stdout
      } = yield* examined(environment, "--root", directory, "-u", "me:secret", name)
      assert.include(found, {
        image: "ok",
        credentials: "ok",
        "ranged reads": "ok",
        referrers: "ok",
        "SOCI index": "missing"
      })
      const detailOf = (subject: string) => findings.find((finding) => finding.subject === subject)?.detail
      assert.include(detailOf("referrers"), "the referrers tag")
      assert.include(detailOf("credentials"), "--user")
      assert.notInclude(stdout, "secret")
      const auth = Buffer.from("me:secret").toString("base64")
      const configuration = JSON.stringify({ auths: { [host]: { auth } } })
      yield* Effect.promise(() => fs.writeFile(path.join(directory, "config.json"), configuration))
      const configured = yield* examined(environment, "--root", directory, name)
      assert.include(configured.stdout, `those of docker's configuration for ${host} (auths)`)
      assert.strictEqual(configured.states["ranged reads"], "ok")
      assert.notInclude(configured.stdout, auth)
    })
  )
})

const umount = (directory: string) => Effect.ignore(runProgram("umount", directory))

/** A mount that is there; it is undone with the scope. */
const mounted = Effect.fnUntraced(function* (root: string, image: string, directory: string) {
  const program = yield* startSoci(["mount", "--build", "--root", root, image, directory])
  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      Effect.sync(() => program.child.kill("SIGINT")),
      program.ended
    )
  )
  yield* Effect.sync(program.stdout).pipe(
    Effect.repeat({ until: (text) => text.includes("mounted"), schedule: Schedule.spaced("20 millis") }),
    Effect.timeout("30 seconds"),
    Effect.orDie
  )
  return program
})

const unable = !(canFuse && canOverlay)

describe.skipIf(unable)(
  `soci doctor --fix${unable ? " (skipped: root, /dev/fuse and overlay are needed)" : ""}`,
  () => {
    it.live("removes what a killed mount left, once nothing of others stands on it, and nothing that is in use", () =>
      Effect.gen(function* () {
        const [root, mountPoint, other] = [
          yield* temporaryDirectory,
          yield* temporaryDirectory,
          yield* temporaryDirectory
        ]
        const image = `oci-layout:${yield* layoutImage}:v1`
        const killed = yield* mounted(root, image, mountPoint)
        const living = yield* mounted(root, image, other)
        killed.child.kill("SIGKILL")
        yield* killed.ended
        yield* Effect.addFinalizer(() => umount(mountPoint))

        const [left, ...more] = yield* findStale(root)
        assert.deepStrictEqual(more, [])
        assert.match(path.basename(left?.directory ?? ""), new RegExp(`^${killed.child.pid}-`))
        assert.deepStrictEqual(left?.dependents, [mountPoint])
        const fix = ["doctor", "--address", "/nonexistent/socket", "--root", root, "--fix"] as const
        const refused = yield* runSoci(...fix)
        assert.include(refused.stdout, `umount ${mountPoint}, then soci doctor --fix`)
        assert.notInclude(refused.stderr, "unmounting")
        assert.isNotEmpty((yield* findStale(root))[0]?.mounts)

        yield* umount(mountPoint)
        const fixed = yield* runSoci(...fix)
        assert.include(fixed.stderr, `removing ${left?.directory}\n`)
        assert.include(fixed.stdout, `stale mounts: removed ${left?.directory}\n`)
        assert.strictEqual(fixed.code, 0)
        assert.deepStrictEqual(yield* findStale(root), [])
        const names = yield* Effect.promise(() => fs.readdir(path.join(root, "mount")))
        assert.deepStrictEqual(
          names.map((name) => name.split("-")[0]),
          [String(living.child.pid)]
        )
        assert.strictEqual(yield* Effect.promise(() => fs.readFile(path.join(other, "hello"), "utf8")), "hello\n")
        living.child.kill("SIGINT")
        yield* living.ended
      })
    )
  }
)

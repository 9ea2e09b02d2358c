import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as ContentStoreLayout from "../../src/layers/ContentStoreLayout.ts"
import manifest from "../../package.json" with { type: "json" }
import { commands } from "../../src/main/commands.ts"
import { ContentStore } from "../../src/services/ContentStore.ts"
import { exitProgram } from "../support/exitProgram.ts"
import { storeImageOf } from "../support/imageOf.ts"
import { canFuse, canOverlay } from "../support/kernelFeatures.ts"
import type { TarMember } from "../support/tarArchive.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const soci = fileURLToPath(new URL("../../src/main/soci.ts", import.meta.url))

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const start = (environment: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) => {
  const env = { ...process.env, ...environment }
  const child = spawn(process.execPath, [soci, ...args], { stdio: ["ignore", "pipe", "pipe"], env })
  let stdout = ""
  let stderr = ""
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
  const ended = new Promise<Ended>((resolve) =>
    child.on("close", (code, signal) => resolve({ code: code ?? (signal === null ? -1 : -2), stdout, stderr }))
  )
  return { child, ended, stdout: () => stdout }
}

/** A command of the program, killed with the scope should it still run. */
const startedWith = (environment: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => start(environment, ...args)),
    ({ child, ended }) =>
      Effect.promise(() => {
        if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM")
        return ended
      })
  )

const started = (...args: ReadonlyArray<string>) => startedWith({}, ...args)

const runWith = (environment: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) =>
  Effect.flatMap(startedWith(environment, ...args), ({ ended }) => Effect.promise(() => ended))

const run = (...args: ReadonlyArray<string>) => runWith({}, ...args)

const until = (check: () => boolean | Promise<boolean>) =>
  Effect.promise(async () => check()).pipe(
    Effect.repeat({ until: (done) => done, schedule: Schedule.spaced("50 millis") }),
    Effect.timeout("30 seconds"),
    Effect.orDie
  )

/** An image with a few files, in a layout. */
const layoutOf = Effect.gen(function* () {
  const layout = yield* temporaryDirectory
  const store = yield* Layer.build(ContentStoreLayout.layer({ root: layout }))
  yield* Effect.gen(function* () {
    const files: ReadonlyArray<TarMember> = [
      { name: "hello", content: "hello from the image\n" },
      { name: "exit-42", content: exitProgram(42), mode: 0o755 },
      { name: "proc/", type: "5" },
      { name: "dev/", type: "5" }
    ]
    yield* storeImageOf(yield* ContentStore, "v1", [files])
  }).pipe(Effect.provide(store))
  return `oci-layout:${layout}:v1`
})

const mountsBelow = (root: string) =>
  fs.readFile("/proc/self/mountinfo", "utf8").then((text) => text.split("\n").filter((line) => line.includes(root)))

const kill = (child: ChildProcess, signal: NodeJS.Signals) => Effect.sync(() => child.kill(signal))

const unable = !(canFuse && canOverlay)
const why = unable ? " (skipped: root, /dev/fuse and overlay are needed)" : ""

describe("soci", () => {
  it.live("shows its help and version", () =>
    Effect.gen(function* () {
      const help = yield* run("--help")
      assert.strictEqual(help.code, 0)
      assert.strictEqual(help.stderr, "")
      assert.match(help.stdout, /^NAME:\n {3}soci - .*\n\nUSAGE:\n/)
      const version = yield* run("-v")
      assert.strictEqual(version.code, 0)
      assert.strictEqual(version.stdout, `soci version ${manifest.version} <unknown>\n`)
    })
  )

  for (const [args, code, stderr] of [
    [["bogus"], 3, "No help topic for 'bogus'\n"],
    [["ztoc", "bogus"], 3, "No help topic for 'bogus'\n"],
    [
      ["ztoc", "list", "--bogus"],
      1,
      "Incorrect Usage: flag provided but not defined: -bogus\n\nsoci: flag provided but not defined: -bogus\n"
    ],
    [["ztoc"], 0, ""]
  ] as const) {
    it.live(`ends with ${code} after: soci ${args.join(" ")}`, () =>
      Effect.gen(function* () {
        const ended = yield* run(...args)
        assert.strictEqual(ended.code, code)
        assert.strictEqual(ended.stderr, stderr)
      })
    )
  }

  it.live("knows every command of the reference, and its own, by name and summary", () =>
    Effect.gen(function* () {
      for (const { name, summary, load } of commands) {
        const command = yield* load
        assert.strictEqual(command.name, name)
        assert.strictEqual(command.description, summary)
      }
      const reference = ["index", "ztoc", "prefetch", "create", "convert", "push", "rebuild-db"]
      assert.includeMembers(
        commands.map(({ name }) => name),
        reference
      )
    })
  )

  for (const line of ["--address unix:///x -n ns --timeout 1m --content-store soci --debug", "--debug=false -a=/x"]) {
    it.live(`takes global flags with any command: ztoc list ${line}`, () =>
      Effect.gen(function* () {
        const root = yield* temporaryDirectory
        const ended = yield* run("ztoc", "list", "-root", root, ...line.split(" "))
        assert.strictEqual(ended.code, 0, ended.stderr)
        assert.match(ended.stdout, /^DIGEST {4}/)
      })
    )
  }

  it.live("warns of a wrong SOURCE_DATE_EPOCH, and goes on", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const ended = yield* runWith({ SOURCE_DATE_EPOCH: "soon" }, "ztoc", "list", "--root", root)
      assert.strictEqual(ended.code, 0)
      assert.match(ended.stderr, /^time="[^"]*" level=warning msg="Failed to read SOURCE_DATE_EPOCH" error="[^\n]*\n$/)
      assert.strictEqual((yield* runWith({ SOURCE_DATE_EPOCH: "0" }, "ztoc", "list", "--root", root)).stderr, "")
    })
  )

  for (const [what, image, reason] of [
    ["a name without a registry", "foo", "the registry host is missing"],
    ["a layout that is not there", "oci-layout:/nonexistent:v1", "no OCI image layout"],
    ["a registry that does not answer", "127.0.0.1:1/x:y", "nothing listens there"]
  ] as const) {
    it.live(`says in one line what is wrong with ${what}`, () =>
      Effect.gen(function* () {
        const root = yield* temporaryDirectory
        const ended = yield* run("run", "--root", root, image, "--", "true")
        assert.strictEqual(ended.code, 1)
        assert.match(ended.stderr, /^soci: .*\n$/)
        assert.include(ended.stderr, reason)
      })
    )
  }

  it.live("says what to do about an image without an index", () =>
    Effect.gen(function* () {
      const ended = yield* run("run", "--root", yield* temporaryDirectory, yield* layoutOf, "--", "/tool")
      assert.strictEqual(ended.code, 1)
      assert.include(ended.stderr, "has no SOCI index")
      assert.include(ended.stderr, "--build")
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.live("uses the index that it is told to, or says that it is not there", () =>
    Effect.gen(function* () {
      const [root, image] = [yield* temporaryDirectory, yield* layoutOf]
      const digest = `sha256:${"0".repeat(64)}`
      const ended = yield* run("run", "--build", "--root", root, "--index-digest", digest, image, "--", "/tool")
      assert.strictEqual(ended.code, 1)
      assert.match(ended.stderr, new RegExp(`^soci: .*${digest}.*\n$`))
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.live("tells more with --debug, on standard error", () =>
    Effect.gen(function* () {
      const layer = path.join(yield* temporaryDirectory, "layer.tar")
      yield* Effect.promise(() => fs.writeFile(layer, new Uint8Array(10_240)))
      const quiet = yield* run("ztoc", "build", layer)
      assert.deepStrictEqual({ code: quiet.code, stderr: quiet.stderr }, { code: 0, stderr: "" })
      const told = yield* run("ztoc", "build", "--debug", layer)
      assert.strictEqual(told.stdout, quiet.stdout)
      assert.match(told.stderr, /^time="[^"]*" level=debug msg=/m)
    })
  )

  it.live("refuses a platform the image is not for", () =>
    Effect.gen(function* () {
      const [root, image] = [yield* temporaryDirectory, yield* layoutOf]
      const ended = yield* run("run", "--build", "--root", root, "--platform", "windows/amd64", image, "--", "/tool")
      assert.strictEqual(ended.code, 1)
      assert.include(ended.stderr, "has no manifest for windows/amd64")
    }).pipe(Effect.provide(NodeServices.layer))
  )
})

describe.skipIf(unable)(`soci run${why}`, () => {
  for (const [program, code] of [
    ...(process.arch === "x64" ? ([["/exit-42", 42]] as const) : []),
    ["/nonexistent", 127]
  ] as const) {
    it.live(`ends with the code of the program and leaves nothing: ${program}`, () =>
      Effect.gen(function* () {
        const root = yield* temporaryDirectory
        const ended = yield* run("run", "--build", "--root", root, yield* layoutOf, "--", program)
        assert.strictEqual(ended.code, code, ended.stderr)
        assert.deepStrictEqual(yield* Effect.promise(() => mountsBelow(root)), [])
        assert.deepStrictEqual(yield* Effect.promise(() => fs.readdir(path.join(root, "mount"))), [])
      }).pipe(Effect.provide(NodeServices.layer))
    )
  }
})

describe.skipIf(unable)(`soci mount${why}`, () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it.live(`unmounts and ends with 130 on ${signal}`, () =>
      Effect.gen(function* () {
        const [root, mountPoint, image] = [yield* temporaryDirectory, yield* temporaryDirectory, yield* layoutOf]
        const { child, ended, stdout } = yield* started("mount", "--build", "--root", root, image, mountPoint)
        yield* until(() => stdout().includes("mounted"))
        const hello = yield* Effect.promise(() => fs.readFile(path.join(mountPoint, "hello"), "utf8"))
        assert.strictEqual(hello, "hello from the image\n")
        yield* kill(child, signal)
        assert.strictEqual((yield* Effect.promise(() => ended)).code, 130)
        assert.deepStrictEqual(yield* Effect.promise(() => mountsBelow(mountPoint)), [])
        assert.deepStrictEqual(yield* Effect.promise(() => mountsBelow(root)), [])
        assert.deepStrictEqual(yield* Effect.promise(() => fs.readdir(path.join(root, "mount"))), [])
      }).pipe(Effect.provide(NodeServices.layer))
    )
  }

  it.live("goes to the background once mounted, and ends with umount", () =>
    Effect.gen(function* () {
      const [root, mountPoint, image] = [yield* temporaryDirectory, yield* temporaryDirectory, yield* layoutOf]
      const ended = yield* run("mount", "--detach", "--writable", "--build", "--root", root, image, mountPoint)
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.include(ended.stdout, "mounted")
      yield* Effect.promise(() => fs.writeFile(path.join(mountPoint, "new"), "written"))
      assert.strictEqual(yield* Effect.promise(() => fs.readFile(path.join(mountPoint, "new"), "utf8")), "written")
      yield* Effect.promise(
        () => new Promise<void>((resolve) => spawn("umount", [mountPoint]).on("close", () => resolve()))
      )
      yield* until(async () => (await fs.readdir(path.join(root, "mount"))).length === 0)
      assert.deepStrictEqual(yield* Effect.promise(() => mountsBelow(root)), [])
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.live("says in the foreground why the background could not mount", () =>
    Effect.gen(function* () {
      const [root, mountPoint] = [yield* temporaryDirectory, yield* temporaryDirectory]
      const ended = yield* run("mount", "--detach", "--root", root, "oci-layout:/nonexistent:v1", mountPoint)
      assert.strictEqual(ended.code, 1)
      assert.match(ended.stderr, /^soci: .*no OCI image layout.*\n$/)
    })
  )
})

import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Cause, ConfigProvider, Console, Duration, Effect, Exit, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { commandEntry } from "../../../src/main/cli/commandEntry.ts"
import { runCommandLine } from "../../../src/main/cli/commandLine.ts"
import {
  Address,
  ContentStoreName,
  contentStoreKind,
  Debug,
  Namespace,
  Root,
  Timeout
} from "../../../src/main/cli/globalFlags.ts"
import { listFlag, platformFlags, unsignedFlag, ztocFlags } from "../../../src/main/cli/sharedFlags.ts"
import { printed } from "../../support/consoleOutput.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

/** Prints what reaches a handler. */
const probe = Command.make(
  "probe",
  {
    image: Argument.String("image_ref").pipe(Argument.optional),
    ...platformFlags,
    ...ztocFlags,
    names: listFlag("name"),
    uploads: unsignedFlag("uploads", "how many", 3n),
    mode: Flag.Literals("mode", ["warn", "skip"]).pipe(Flag.withDefault("warn"))
  },
  Effect.fnUntraced(function* (options) {
    const [address, namespace, root] = [yield* Address, yield* Namespace, yield* Root]
    const [timeout, debug, store] = [yield* Timeout, yield* Debug, yield* ContentStoreName]
    const settings = { address, namespace, root, timeout: Duration.format(timeout), debug, store }
    const { uploads, image, ...rest } = options
    const given = { ...rest, image: Option.getOrNull(image), uploads: String(uploads) }
    yield* Console.log(JSON.stringify({ ...settings, ...given }))
  })
).pipe(Command.withDescription("print what was given"))

const undone = { count: 0 }
const wait = Command.make("wait", {}, () =>
  Effect.onInterrupt(Effect.never, () => Effect.sync(() => void (undone.count += 1)))
)

const store = Command.make("store", {}, () => Effect.flatMap(contentStoreKind, Console.log))
const list = Command.make("list", {}, () => Console.log("listed")).pipe(Command.withAlias("ls"))
const group = Command.make("group").pipe(Command.withSubcommands([list]))

const loaded: Array<string> = []
const load =
  <A extends Command.Command.Any>(command: A) =>
  () => {
    loaded.push(command.name)
    return Promise.resolve(command)
  }

const entries = [
  commandEntry({ name: "probe", summary: "print what was given", needsRoot: false, load: load(probe) }),
  commandEntry({ name: "wait", summary: "wait for ever", needsRoot: false, load: load(wait) }),
  commandEntry({ name: "store", summary: "name the store", needsRoot: false, load: load(store) }),
  commandEntry({
    name: "group",
    summary: "of commands",
    needsRoot: (argv) => !argv.includes("--debug=true"),
    load: load(group)
  })
]

const variables = (environment: Readonly<Record<string, string>>) =>
  ConfigProvider.layer(ConfigProvider.fromUnknown(environment))

const run = (line: string, environment: Readonly<Record<string, string>> = {}) =>
  Effect.map(
    printed(runCommandLine(entries, line === "" ? [] : line.split(" "))).pipe(
      Effect.provide([NodeServices.layer, variables(environment)])
    ),
    (result) => ({
      ...result,
      error: Exit.isFailure(result.exit) ? Cause.squash(result.exit.cause) : undefined
    })
  )

const given = Effect.fnUntraced(function* (line: string, environment: Readonly<Record<string, string>> = {}) {
  const { stdout, stderr, error } = yield* run(line, environment)
  assert.strictEqual(error, undefined, stderr)
  const values: Record<string, unknown> = JSON.parse(stdout)
  return values
})

describe("the command line", () => {
  it.effect("gives handlers the defaults of the reference", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* given("probe"), {
        address: "/run/containerd/containerd.sock",
        namespace: "default",
        root: "/var/lib/soci-snapshotter-grpc/",
        timeout: "0",
        debug: false,
        store: "containerd",
        allPlatforms: false,
        platforms: [],
        spanSize: 4_194_304,
        minLayerSize: 10_485_760,
        optimizations: [],
        force: false,
        names: [],
        mode: "warn",
        image: null,
        uploads: "3"
      })
    })
  )

  for (const line of ["--root /r -n ns probe", "probe --root /r -n ns", "probe IMG -root=/r --namespace ns"]) {
    it.effect(`takes global flags at any place: ${line}`, () =>
      Effect.gen(function* () {
        const { root, namespace } = yield* given(line)
        assert.deepStrictEqual({ root, namespace }, { root: "/r", namespace: "ns" })
      })
    )
  }

  it.effect("takes a flag before the environment before the default, and an empty variable for none", () =>
    Effect.gen(function* () {
      const environment = { CONTAINERD_ADDRESS: "unix:///a.sock", CONTAINERD_NAMESPACE: "ns" }
      const fromEnvironment = yield* given("probe", environment)
      assert.strictEqual(fromEnvironment["address"], "/a.sock")
      assert.strictEqual(fromEnvironment["namespace"], "ns")
      assert.strictEqual((yield* given("probe -a /b.sock", environment))["address"], "/b.sock")
      assert.strictEqual((yield* given("probe", { CONTAINERD_NAMESPACE: "" }))["namespace"], "default")
    })
  )

  it.effect("splits lists at commas and adds them up", () =>
    Effect.gen(function* () {
      const { platforms, names } = yield* given("probe -p linux/amd64,linux/arm64 -platform linux/s390x --name=a,b")
      assert.deepStrictEqual(platforms, ["linux/amd64", "linux/arm64", "linux/s390x"])
      assert.deepStrictEqual(names, ["a", "b"])
    })
  )

  it.effect("reads integers and durations in Go's spellings", () =>
    Effect.gen(function* () {
      const { spanSize, timeout, uploads } = yield* given(
        "probe --span-size 0x10 --timeout 1m30s --uploads 18446744073709551615"
      )
      assert.deepStrictEqual([spanSize, timeout, uploads], [16, "1m 30s", "18446744073709551615"])
    })
  )

  for (const [line, reason] of [
    ["probe -bogus", "flag provided but not defined: -bogus"],
    [
      "probe --span-size abc",
      'invalid value "abc" for flag -span-size: strconv.ParseInt: parsing "abc": invalid syntax'
    ],
    ["probe --timeout abc", 'invalid value "abc" for flag -timeout: time: invalid duration "abc"'],
    ["--timeout 3 probe", 'invalid value "3" for flag -timeout: time: missing unit in duration "3"'],
    ["probe --uploads -1", 'invalid value "-1" for flag -uploads: strconv.ParseUint: parsing "-1": invalid syntax'],
    ["probe --force=maybe", 'invalid value "maybe" for flag -force: parse error'],
    ["probe --mode x", 'invalid value "x" for flag -mode: expected "warn" | "skip"'],
    ["probe --span-size", "flag needs an argument: --span-size"]
  ] as const) {
    it.effect(`tells what is wrong with the usage: ${line}`, () =>
      Effect.gen(function* () {
        const { stdout, stderr, error } = yield* run(line)
        assert.strictEqual(stderr, `Incorrect Usage: ${reason}\n\nsoci: ${reason}\n`)
        assert.match(stdout, /^NAME:\n {3}soci probe - print what was given\n/)
        assert.exists(error)
      })
    )
  }

  it.effect("asks whether another flag or command was meant", () =>
    Effect.gen(function* () {
      assert.match((yield* run("probe --spansize 1")).stderr, /\nDid you mean --span-size\?\n$/)
      assert.strictEqual((yield* run("prob")).stderr, "No help topic for 'prob'\nDid you mean probe?\n")
    })
  )

  for (const line of ["bogus", "help bogus", "group bogus", "group help bogus"]) {
    it.effect(`ends with 3 where there is no such command: ${line}`, () =>
      Effect.gen(function* () {
        const { stdout, stderr, error } = yield* run(line)
        assert.strictEqual(stderr, "No help topic for 'bogus'\n")
        assert.strictEqual(stdout, "")
        assert.propertyVal(error, "code", 3)
      })
    )
  }

  it.effect("shows the same help however it is asked for", () =>
    Effect.gen(function* () {
      const pages = yield* Effect.forEach(["", "help", "h", "--help", "-h", "-help"], (line) => run(line))
      assert.deepStrictEqual(new Set(pages.map(({ stdout }) => stdout)).size, 1)
      assert.include(pages[0]?.stdout, "COMMANDS:\n   probe    print what was given\n")
      const [page, topic] = [yield* run("probe --help"), yield* run("help probe")]
      assert.strictEqual(page.stdout, topic.stdout)
      assert.include(page.stdout, "USAGE:\n   soci probe [options] [flags] <image_ref>\n")
      assert.include((yield* run("group")).stdout, "COMMANDS:\n   list, ls  ")
    })
  )

  it.effect("loads the command that is called and no other", () =>
    Effect.gen(function* () {
      loaded.length = 0
      yield* run("--help")
      yield* run("bogus")
      assert.deepStrictEqual(loaded, [])
      yield* run("--debug group --help")
      assert.deepStrictEqual(loaded, ["group"])
    })
  )

  it.live("ends a command when its time is up, which undoes what it began", () =>
    Effect.gen(function* () {
      const before = undone.count
      const { error } = yield* run("wait --timeout 20ms")
      assert.propertyVal(error, "_tag", "DeadlineExceeded")
      assert.match(String(error), /context deadline exceeded: .* 20ms; give it a longer --timeout/)
      assert.strictEqual(undone.count, before + 1)
    })
  )

  it.effect("asks for the content store only where one is opened", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* run("store --content-store=")).stdout, "containerd\n")
      assert.strictEqual((yield* run("store --content-store soci")).stdout, "soci\n")
      const { error } = yield* run("store --content-store foo")
      assert.include(String(error), "unknown content store type: foo; must be one of [soci containerd]")
      assert.strictEqual((yield* given("probe --content-store foo"))["store"], "foo")
    })
  )
})

describe("the root directory", () => {
  const rooted = Effect.fnUntraced(function* (line: string) {
    const root = path.join(yield* temporaryDirectory, "root")
    const result = yield* run(`--root ${root} ${line}`)
    const mode = yield* Effect.promise(() =>
      fs.stat(root).then(
        (stat) => stat.mode & 0o777,
        () => undefined
      )
    )
    return { ...result, mode }
  })

  it.effect("is made for its owner before a command that needs it", () =>
    Effect.gen(function* () {
      const { mode, stdout } = yield* rooted("group list")
      assert.strictEqual(mode, 0o700)
      assert.strictEqual(stdout, "listed\n")
    })
  )

  for (const line of [
    "group",
    "group --help",
    "help group list",
    "group list --bogus",
    "group list --debug",
    "probe"
  ]) {
    it.effect(`is not made for: ${line}`, () =>
      Effect.map(rooted(line), ({ mode }) => assert.strictEqual(mode, undefined))
    )
  }

  it.effect("is made in a directory that is there, or the command ends", () =>
    Effect.gen(function* () {
      const root = path.join(yield* temporaryDirectory, "none", "root")
      const { error, stdout } = yield* run(`group list --root ${root}`)
      assert.propertyVal(error, "reason", `mkdir ${root}: no such file or directory`)
      assert.strictEqual(stdout, "")
    })
  )
})

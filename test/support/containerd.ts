/**
 * Debian's containerd with directories, socket and configuration of its own: the real one, ended with its scope.
 */
import { Effect, Schedule } from "effect"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { hasProgram, runProgram } from "./programs.ts"
import { temporaryDirectory } from "./temporaryDirectory.ts"

/** What is missing to run containerd here; empty if nothing is. */
export const missingForContainerd = [
  ...(process.getuid?.() === 0 ? [] : ["root"]),
  ...["containerd", "ctr"].filter((name) => !hasProgram(name))
].join(", ")

export interface ContainerdOptions {
  /** More of config.toml: tables only, such as `[proxy_plugins]`. */
  readonly config?: string
}

/** How an OCI or Docker archive is imported. Its images get the names it says. */
export interface ImportOptions {
  readonly namespace?: string
  /** What an OCI archive that says only tags has them below: `registry.example.com/app`. */
  readonly baseName?: string
  /** Unpacked into this snapshotter; without one it is not unpacked. */
  readonly snapshotter?: string
}

/** CRI needs a network, the snapshotters file systems or programs that a test has not. */
const disabledPlugins = [
  "io.containerd.grpc.v1.cri",
  ...["aufs", "btrfs", "devmapper", "zfs"].map((name) => `io.containerd.snapshotter.v1.${name}`)
]

/** Ends a process and waits until it is gone. */
const end = (child: ChildProcess, signal: NodeJS.Signals) =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    if (!child.kill(signal)) resume(Effect.void)
  })

/** Snapshots and tasks are mounted below the directory; what is left of them would keep it from being removed. */
const unmountBelow = (directory: string) =>
  Effect.promise(async () => {
    const mounts = (await fs.readFile("/proc/self/mounts", "utf8")).split("\n").map((line) => line.split(" ")[1] ?? "")
    for (const mount of mounts.filter((point) => point.startsWith(`${directory}/`)).toReversed()) {
      spawnSync("umount", ["-l", mount])
    }
  })

/**
 * Runs until the scope ends. Other tools reach it by `address`; `ctr` runs containerd's own client against it and fails with its
 * standard error.
 */
export const containerd = Effect.fnUntraced(function* ({ config = "" }: ContainerdOptions = {}) {
  const directory = yield* temporaryDirectory
  yield* Effect.addFinalizer(() => unmountBelow(directory))
  const address = path.join(directory, "containerd.sock")
  const root = path.join(directory, "root")
  const state = path.join(directory, "state")
  const configFile = path.join(directory, "config.toml")
  const text = `version = 2
root = "${root}"
state = "${state}"
disabled_plugins = ${JSON.stringify(disabledPlugins)}
[grpc]
address = "${address}"
[ttrpc]
address = "${address}.ttrpc"
${config}
`
  yield* Effect.promise(() => fs.writeFile(configFile, text))

  const log = path.join(directory, "containerd.log")
  let running: ChildProcess | undefined
  const ctrIn = (namespace: string, ...args: ReadonlyArray<string>) =>
    runProgram("ctr", "-a", address, "-n", namespace, ...args)

  /** Starts the daemon again on the same directories. */
  const start = Effect.gen(function* () {
    const file = yield* Effect.promise(() => fs.open(log, "a"))
    const child = spawn("containerd", ["--config", configFile], { stdio: ["ignore", "ignore", file.fd] })
    running = child
    yield* Effect.promise(() => file.close())
    yield* ctrIn("default", "version").pipe(
      Effect.retry({
        schedule: Schedule.spaced("50 millis").pipe(Schedule.upTo({ times: 600 })),
        while: () => child.exitCode === null && child.signalCode === null
      }),
      Effect.catch((error) =>
        Effect.flatMap(
          Effect.promise(() => fs.readFile(log, "utf8")),
          (text) => Effect.die(new Error(`containerd does not start: ${text}`, { cause: error }))
        )
      )
    )
  })

  const stop = (signal: NodeJS.Signals) =>
    Effect.suspend(() => (running === undefined ? Effect.void : end(running, signal)))

  yield* Effect.addFinalizer(() => stop("SIGTERM"))
  yield* start

  let leases = 0
  return {
    address,
    root,
    state,
    directory,
    /** The file its log goes to. */
    log,
    start,
    /** Ends the daemon at once and waits until it is gone; `start` starts it again. */
    kill: stop("SIGKILL"),
    /** Sends a signal that does not end it, such as SIGSTOP and SIGCONT. */
    signal: (signal: NodeJS.Signals) => Effect.sync(() => void running?.kill(signal)),
    /** `ctr` in the namespace `default`. */
    ctr: (...args: ReadonlyArray<string>) => ctrIn("default", ...args),
    ctrIn,
    importImage: (archive: string, { namespace = "default", baseName, snapshotter }: ImportOptions = {}) =>
      ctrIn(
        namespace,
        "images",
        "import",
        "--all-platforms",
        ...(baseName === undefined ? [] : ["--base-name", baseName]),
        ...(snapshotter === undefined ? ["--no-unpack"] : ["--snapshotter", snapshotter]),
        archive
      ),
    /** Collects garbage, and waits for it: containerd does so for whoever deletes a lease synchronously. */
    collectGarbage: Effect.suspend(() => {
      const id = `test-garbage-${++leases}`
      return Effect.andThen(
        ctrIn("default", "leases", "create", "--id", id),
        ctrIn("default", "leases", "rm", "--sync", id)
      )
    })
  }
})

export type Containerd = Effect.Success<ReturnType<typeof containerd>>

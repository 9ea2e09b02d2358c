/**
 * What other programs make of the same layers: umoci into one root file system, containerd into an overlay's lower directory.
 */
import { Effect, Schedule } from "effect"
import { execFileSync, spawn } from "node:child_process"
import * as fs from "node:fs"
import { tarOf } from "./tarArchive.ts"
import { temporaryDirectory } from "./temporaryDirectory.ts"

const hasProgram = (name: string) =>
  (process.env["PATH"] ?? "").split(":").some((directory) => fs.existsSync(`${directory}/${name}`))

export const hasUmoci = hasProgram("umoci")
export const hasContainerd = hasUmoci && hasProgram("containerd") && hasProgram("ctr")

const run = (command: string, ...args: ReadonlyArray<string>) =>
  execFileSync(command, args, { stdio: "pipe" }).toString()

/** An OCI layout with an image `x` of these layers. */
const layoutOf = (work: string, layers: ReadonlyArray<Uint8Array>): string => {
  const layout = `${work}/layout`
  fs.rmSync(layout, { recursive: true, force: true })
  run("umoci", "init", "--layout", layout)
  run("umoci", "new", "--image", `${layout}:x`)
  for (const layer of layers) {
    fs.writeFileSync(`${work}/layer.tar`, layer)
    run("umoci", "raw", "add-layer", "--image", `${layout}:x`, `${work}/layer.tar`)
  }
  return layout
}

/** Unpacks layers one upon the other; answers with the directory, or undefined where the program refuses. */
export type ForeignUnpack = (layers: ReadonlyArray<Uint8Array>) => string | undefined

const orUndefined = (unpack: () => string): string | undefined => {
  try {
    return unpack()
  } catch (error) {
    if (error instanceof Error && "status" in error && typeof error.status === "number") return undefined
    throw error
  }
}

export const umociUnpack: Effect.Effect<ForeignUnpack, never, Effect.Services<typeof temporaryDirectory>> = Effect.map(
  temporaryDirectory,
  (work) => (layers) =>
    orUndefined(() => {
      fs.rmSync(`${work}/root`, { recursive: true, force: true })
      run("umoci", "raw", "unpack", "--image", `${layoutOf(work, layers)}:x`, `${work}/root`)
      return `${work}/root`
    })
)

/** A file system of its own, because overlayfs is none that overlayfs can lie upon. */
const privateTmpfs = Effect.flatMap(temporaryDirectory, (directory) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      run("mount", "-t", "tmpfs", "tmpfs", directory)
      return directory
    }),
    () => Effect.sync(() => run("umount", directory))
  )
)

const startContainerd = (work: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const config = [
        "version = 2",
        `root = "${work}/lib"`,
        `state = "${work}/run"`,
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
        `[grpc]\n  address = "${work}/sock"`
      ]
      fs.writeFileSync(`${work}/config.toml`, config.join("\n"))
      return spawn("containerd", ["--config", `${work}/config.toml`], { stdio: "ignore" })
    }),
    (daemon) =>
      Effect.callback<void>((resume) => {
        if (daemon.exitCode !== null) return resume(Effect.void)
        daemon.once("exit", () => resume(Effect.void))
        daemon.kill("SIGTERM")
      })
  )

/** Into a lowest layer containerd unpacks without overlayfs in mind. */
const lowest = tarOf({ name: "lowest", content: "a layer below" })

/** A containerd of our own; the snapshot of the last layer is what it answers with. */
export const containerdUnpack = Effect.gen(function* () {
  const work = yield* privateTmpfs
  yield* startContainerd(work)
  const socket = `${work}/sock`
  yield* Effect.try(() => run("ctr", "--address", socket, "version")).pipe(
    Effect.retry(Schedule.spaced("50 millis").pipe(Schedule.upTo({ times: 200 }))),
    Effect.orDie
  )
  const snapshots = `${work}/lib/io.containerd.snapshotter.v1.overlayfs/snapshots`
  const known = new Set<string>()
  let images = 0
  const unpack: ForeignUnpack = (layers) =>
    orUndefined(() => {
      run("tar", "-C", layoutOf(work, [lowest, ...layers]), "-cf", `${work}/image.tar`, ".")
      run("ctr", "--address", socket, "images", "import", "--base-name", `x.test/${++images}`, `${work}/image.tar`)
      const made = fs.readdirSync(snapshots).filter((name) => !known.has(name))
      for (const name of made) known.add(name)
      const last = made.toSorted((a, b) => Number(a) - Number(b)).at(-1)
      if (last === undefined) throw new Error("containerd made no snapshot: were these layers unpacked before?")
      return `${snapshots}/${last}/fs`
    })
  return unpack
})

/**
 * A containerd of its own that unpacks layers into its overlay snapshots.
 */
import { Effect } from "effect"
import { execFile, spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { promisify } from "node:util"
import { digestOf } from "../../src/streams/verify.ts"
import { descriptorOf, json } from "./content.ts"
import { tarOf } from "./tarArchive.ts"
import { temporaryDirectory } from "./temporaryDirectory.ts"

const run = promisify(execFile)
const works = (command: string) => spawnSync(command, ["--version"]).status === 0

/** Why containerd cannot be run here; empty if it can. */
export const containerdMissing = [
  ...(process.getuid?.() === 0 ? [] : ["root"]),
  ...["containerd", "ctr"].filter((command) => !works(command))
].join(", ")

/** A layer below the others: only above one are whiteouts converted. */
const baseLayer = tarOf({ name: "base", type: "5" })

/** An OCI layout with one image, in a tar. */
const imageOf = (layer: Uint8Array, name: string): Uint8Array => {
  const layers = [baseLayer, layer].map((bytes) => ({
    ...descriptorOf(bytes, "application/vnd.oci.image.layer.v1.tar")
  }))
  const rootfs = { type: "layers", diff_ids: layers.map(({ digest }) => digest) }
  const config = json({ architecture: "amd64", os: "linux", config: {}, rootfs })
  const manifest = json({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: descriptorOf(config, "application/vnd.oci.image.config.v1+json"),
    layers
  })
  const annotations = { "io.containerd.image.name": name }
  const manifests = [{ ...descriptorOf(manifest, "application/vnd.oci.image.manifest.v1+json"), annotations }]
  return tarOf(
    { name: "oci-layout", content: '{"imageLayoutVersion":"1.0.0"}' },
    { name: "index.json", content: json({ schemaVersion: 2, manifests }) },
    ...[baseLayer, layer, config, manifest].map((content) => ({
      name: `blobs/sha256/${digestOf(content).slice("sha256:".length)}`,
      content
    }))
  )
}

/** A running containerd; `unpack` gives the directory a layer became, or the text containerd refused it with. */
export const containerdUnpacker = Effect.gen(function* () {
  const root = yield* temporaryDirectory
  const socket = path.join(root, "containerd.sock")
  const config = path.join(root, "config.toml")
  const unused = ["grpc.v1.cri", ...["aufs", "btrfs", "devmapper", "zfs"].map((name) => `snapshotter.v1.${name}`)]
  const disabled = JSON.stringify(unused.map((name) => `io.containerd.${name}`))
  const text = `version = 2\nroot = "${root}/root"\nstate = "${root}/state"\ndisabled_plugins = ${disabled}\n`
  fs.writeFileSync(config, `${text}[grpc]\naddress = "${socket}"\n`)
  yield* Effect.acquireRelease(
    Effect.sync(() => spawn("containerd", ["--config", config], { stdio: "ignore" })),
    (daemon) =>
      Effect.callback<void>((resume) => {
        daemon.once("exit", () => resume(Effect.void))
        daemon.kill("SIGTERM")
      })
  )
  const ctr = (...args: ReadonlyArray<string>) =>
    Effect.tryPromise({
      try: () => run("ctr", ["-a", socket, "-n", "test", ...args]),
      catch: (error) => String(error instanceof Error && "stderr" in error ? error.stderr : error)
    })
  yield* Effect.eventually(Effect.delay(ctr("version"), "50 millis"))

  const snapshots = path.join(root, "root/io.containerd.snapshotter.v1.overlayfs/snapshots")
  const newest = () => Math.max(0, ...(fs.existsSync(snapshots) ? fs.readdirSync(snapshots) : []).map(Number))
  let images = 0
  return Effect.fnUntraced(function* (layer: Uint8Array) {
    const archive = path.join(root, "image.tar")
    fs.writeFileSync(archive, imageOf(layer, `test/image:${++images}`))
    yield* ctr("image", "import", "--snapshotter", "overlayfs", archive)
    return path.join(snapshots, String(newest()), "fs")
  })
})

/**
 * What a mounted layer costs beside the same tree unpacked: listing, small files, big reads. Medians of 3 rounds, interleaved, cold page cache
 * unless it says warm.
 *
 *   npm run bench mount [DIRECTORY]
 *
 * Everything is made in a temporary directory below DIRECTORY, which should be on a disk, and is removed at the end. Needs root.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { openLayerFile } from "../src/layers/extract/layerFile.ts"
import * as FuseDriverKernel from "../src/layers/FuseDriverKernel.ts"
import * as InflateLive from "../src/layers/InflateLive.ts"
import * as LayerMounterLive from "../src/layers/LayerMounterLive.ts"
import * as LayerReaderLive from "../src/layers/LayerReaderLive.ts"
import * as SpanStoreFile from "../src/layers/SpanStoreFile.ts"
import * as ZtocBuilderWorkers from "../src/layers/ZtocBuilderWorkers.ts"
import { MediaType } from "../src/services/MediaType.ts"
import { LayerMounter, type MountMode } from "../src/services/LayerMounter.ts"
import { LayerReader, type Layer as OpenLayer } from "../src/services/LayerReader.ts"
import { defaultBuildToolIdentifier, defaultSpanSize, ZtocBuilder } from "../src/services/ZtocBuilder.ts"
import { decodeZtoc } from "../src/streams/codec/ztoc.ts"
import { makeCorpus } from "./mount/corpus.ts"
import { Figures, printTarget } from "./ztoc/figures.ts"
import { runProcess } from "./ztoc/measuredProcess.ts"

const rounds = 3
const files = 50_000
const bigBytes = 256 * 1024 * 1024
const randomReads = 60_000

const dropCaches = Effect.sync(() => {
  execFileSync("sync")
  writeFileSync("/proc/sys/vm/drop_caches", "3")
})

/** What is done to a tree; the first of a pair is cold, the second finds what the first has left in the caches. */
const tasks = (root: string) => {
  const shell = (script: string) => runProcess("sh", "-c", script, "sh", root)
  return [
    { name: "find -ls", cold: true, run: shell('find "$1/many" -ls') },
    { name: "find -ls again", cold: false, run: shell('find "$1/many" -ls') },
    { name: "ls -lR", cold: true, run: shell('ls -lR "$1/many"') },
    { name: "ls -lR again", cold: false, run: shell('ls -lR "$1/many"') },
    { name: "cat of all small files", cold: true, run: shell('find "$1/many" -type f -print0 | xargs -0 cat') },
    { name: "cat of all small files, warm", cold: false, run: shell('find "$1/many" -type f -print0 | xargs -0 cat') },
    { name: "big file, sequential", cold: true, run: shell('dd if="$1/big" of=/dev/null bs=1M status=none') },
    { name: "big file, sequential, warm", cold: false, run: shell('dd if="$1/big" of=/dev/null bs=1M status=none') },
    {
      name: `${randomReads} random 4 KiB`,
      cold: true,
      run: runProcess(
        "fio",
        "--name=random",
        `--filename=${root}/big`,
        "--readonly",
        "--rw=randread",
        "--bs=4k",
        `--io_size=${randomReads * 4096}`,
        `--size=${bigBytes}`,
        "--ioengine=psync",
        "--output=/dev/null"
      )
    }
  ]
}

const openLocal = Effect.fnUntraced(function* (file: string) {
  const builder = yield* ZtocBuilder
  const { size, read, location } = yield* openLayerFile(file)
  const built = yield* builder.build(read(0, size), {
    compression: "gzip",
    spanSize: defaultSpanSize,
    buildToolIdentifier: defaultBuildToolIdentifier
  })
  const ztoc = yield* Effect.fromResult(decodeZtoc(built.bytes))
  const descriptor = { mediaType: MediaType.ociLayerGzip, digest: built.layerDigest, size: statSync(file).size }
  const reader = yield* LayerReader
  return yield* reader.open({ digest: built.layerDigest, ztoc, blob: { descriptor, location, read } })
})

const mountAt = Effect.fnUntraced(function* (layer: OpenLayer, mountPoint: string, mode: MountMode) {
  mkdirSync(mountPoint)
  const mounter = yield* LayerMounter
  yield* mounter.mount({ layer, mountPoint, mode, opaqueXattr: "trusted" })
  return mountPoint
})

const program = Effect.gen(function* () {
  const work = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(path.join(process.argv[2] ?? tmpdir(), "effect-soci-bench-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
  )
  const disk = path.join(work, "unpacked")
  const layerFile = path.join(work, "layer.tar.gz")
  mkdirSync(disk)
  makeCorpus(disk, layerFile, { files, bigBytes })
  const memory = path.join(work, "tmpfs")
  mkdirSync(memory)
  yield* Effect.acquireRelease(
    Effect.sync(() => execFileSync("mount", ["-t", "tmpfs", "tmpfs", memory])),
    () => Effect.sync(() => execFileSync("umount", ["-l", memory]))
  )
  execFileSync("cp", ["-a", `${disk}/.`, memory])

  const inflate = InflateLive.layer()
  const spans = SpanStoreFile.layer({
    directory: path.join(work, "spans"),
    keep: { bytes: 2 ** 40, freeShare: 0 }
  }).pipe(Layer.provide(inflate))
  const services = Layer.mergeAll(
    LayerReaderLive.layer.pipe(Layer.provide(spans)),
    LayerMounterLive.layer({ runDirectory: path.join(work, "run") }).pipe(Layer.provide(FuseDriverKernel.layer())),
    ZtocBuilderWorkers.layer
  )
  yield* Effect.gen(function* () {
    const layer = yield* openLocal(layerFile)
    // Mounted before it is complete, so that its bytes are served by us for as long as it is mounted.
    const served = yield* mountAt(layer, path.join(work, "served"), "erofs")
    const fuse = yield* mountAt(layer, path.join(work, "fuse"), "fuse")
    yield* layer.spans.ensure(0, layer.spans.size)
    const complete = yield* mountAt(layer, path.join(work, "complete"), "erofs")
    const targets = [
      ["unpacked", disk],
      ["unpacked, tmpfs", memory],
      ["EROFS, complete", complete],
      ["EROFS, served", served],
      ["FUSE", fuse]
    ] as const
    const figures = new Figures()
    for (let round = 0; round < rounds; round++) {
      for (const [target, root] of targets) {
        for (const { name, cold, run } of tasks(root)) {
          if (cold) yield* dropCaches
          yield* figures.time(`${name}: ${target}`, run)
        }
      }
    }
    report(figures)
  }).pipe(Effect.scoped, Effect.provide(services))
})

const report = (figures: Figures) => {
  figures.print()
  console.log("")
  const ratio = (task: string, target: string, peer = "unpacked") =>
    figures.median(`${task}: ${target}`) / figures.median(`${task}: ${peer}`)
  for (const erofs of ["EROFS, complete", "EROFS, served"]) {
    for (const task of ["find -ls", "find -ls again", "ls -lR", "ls -lR again"]) {
      printTarget(`${task}, ${erofs} / unpacked`, ratio(task, erofs), 1.5)
    }
    printTarget(`cat of all small files, ${erofs} / unpacked`, ratio("cat of all small files", erofs), 2)
    for (const task of ["cat of all small files, warm", "big file, sequential, warm"]) {
      printTarget(`${task}, ${erofs} / unpacked`, ratio(task, erofs), 1.05)
    }
    const seconds = figures.median(`${randomReads} random 4 KiB: ${erofs}`) / 1000
    printTarget(`microseconds of a random 4 KiB, ${erofs}`, (seconds / randomReads) * 1e6, 25)
  }
  printTarget("ls -lR, FUSE / unpacked", ratio("ls -lR", "FUSE"), 6)
  const rate = bigBytes / figures.median("big file, sequential: FUSE") / 1e6
  console.log(`${"big file by FUSE, cold, GB/s (target 1.5)".padEnd(50)} ${rate.toFixed(2)}`)
}

program.pipe(Effect.scoped, NodeRuntime.runMain)

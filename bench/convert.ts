/**
 * Converts images to carry their SOCI indexes, beside `gzip -dc` of their layers: medians of 3 rounds, interleaved.
 *
 *   npm run bench convert [DIRECTORY]
 *
 * The demo's image, and one of about 500 MB; in a registry (Debian's docker-registry), where layers are read once and stored nowhere, and from
 * a layout to an archive. Everything is made in a temporary directory below DIRECTORY, which is removed at the end.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { loadavg, tmpdir } from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { dockerRegistry } from "../test/support/dockerRegistry.ts"
import { type BenchImage, demoImage, machineImage } from "./convert/images.ts"
import { Figures, printTarget } from "./ztoc/figures.ts"
import { runProcess } from "./ztoc/measuredProcess.ts"

const rounds = 3
const layerSizes = [650e6, 650e6]

/** As it is shipped if it was built, else from the sources, which take half a second longer to load. */
const bundle = fileURLToPath(new URL("../dist/main/soci.js", import.meta.url))
const hasBundle = spawnSync(process.execPath, [bundle, "convert", "--help"]).stdout.includes("--standalone")
const sociProgram = hasBundle ? bundle : fileURLToPath(new URL("../src/main/soci.ts", import.meta.url))

const convert = (from: string, to: string) =>
  runProcess(process.execPath, sociProgram, "convert", "--standalone", "--json", "--min-layer-size", "0", from, to)

const inflate = (layers: ReadonlyArray<string>, concurrency: number) =>
  Effect.forEach(layers, (layer) => runProcess("gzip", "-dc", layer), { concurrency, discard: true })

const measure = Effect.fnUntraced(function* (figures: Figures, host: string, work: string, image: BenchImage) {
  const { name, layout, layers } = image
  const repository = `${host}/${name.replaceAll(" ", "-").toLowerCase()}`
  yield* runProcess("skopeo", "copy", "--dest-tls-verify=false", `oci:${layout}`, `docker://${repository}:v1`)
  for (let round = 0; round < rounds; round++) {
    yield* figures.time(`${name}: gzip -dc, a layer at a time`, inflate(layers, 1))
    yield* figures.time(`${name}: gzip -dc, two layers at a time`, inflate(layers, 2))
    const to = `docker://${repository}:soci-${round}`
    yield* figures.time(`${name}: convert in the registry`, convert(`docker://${repository}:v1`, to))
    const archive = path.join(work, "out.tar")
    yield* figures.time(`${name}: convert to an archive`, convert(layout, archive))
    rmSync(archive)
  }
})

const report = (figures: Figures, images: ReadonlyArray<BenchImage>) => {
  figures.print()
  console.log(`\nload average ${loadavg()[0]?.toFixed(1)}${hasBundle ? "" : "; soci from its sources"}`)
  for (const { name } of images) {
    const ratio = (what: string) =>
      figures.median(`${name}: convert ${what}`) / figures.median(`${name}: gzip -dc, a layer at a time`)
    printTarget(`${name}: in the registry / gzip -dc`, ratio("in the registry"), 1)
    printTarget(`${name}: to an archive / gzip -dc`, ratio("to an archive"), 1)
  }
}

const program = Effect.gen(function* () {
  const work = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(path.join(process.argv[2] ?? tmpdir(), "effect-soci-bench-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
  )
  const { host } = yield* dockerRegistry()
  const images = [yield* demoImage(work), yield* machineImage(work, "500 MB image", layerSizes)]
  const figures = new Figures()
  for (const image of images) yield* measure(figures, host, work, image)
  report(figures, images)
})

program.pipe(Effect.scoped, NodeRuntime.runMain)

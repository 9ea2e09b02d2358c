/**
 * Builds ztocs of real gzip layers beside `gzip -dc` of the same files, and reads single blocks by them: medians of 5 rounds,
 * interleaved.
 *
 *   npm run bench ztoc [DIRECTORY]
 *
 * The layers are made in a temporary directory below DIRECTORY, which is removed at the end.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Stream } from "effect"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { loadavg, tmpdir } from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { fileFailed, openFile, openLayerFile } from "../src/layers/extract/layerFile.ts"
import { readRangeReusing } from "../src/layers/fileBlob.ts"
import * as InflateLive from "../src/layers/InflateLive.ts"
import * as ZtocBuilderWorkers from "../src/layers/ZtocBuilderWorkers.ts"
import * as ZtocReaderLive from "../src/layers/ZtocReaderLive.ts"
import type { Digest } from "../src/services/Descriptor.ts"
import { Inflate } from "../src/services/Inflate.ts"
import { defaultBuildToolIdentifier, defaultSpanSize, ZtocBuilder } from "../src/services/ZtocBuilder.ts"
import { ZtocReader } from "../src/services/ZtocReader.ts"
import { decodeGzipZinfo } from "../src/streams/codec/zinfo.ts"
import { decodeZtoc } from "../src/streams/codec/ztoc.ts"
import { spanAt } from "../src/streams/extractRange.ts"
import { Figures, printTarget } from "./ztoc/figures.ts"
import { peakMemoryOf, runProcess } from "./ztoc/measuredProcess.ts"
import { chooseFiles, makeLayer } from "./ztoc/realLayers.ts"

const rounds = 5
const layerSize = 260e6
const largeLayerSize = 1e9
const blockSize = 4096
const blocks = 200
const blocksInTurn = 20

/** As it is shipped if it was built, else from the sources, which take half a second longer to load. */
const bundle = fileURLToPath(new URL("../dist/main/soci.js", import.meta.url))
const hasBundle = spawnSync(process.execPath, [bundle, "ztoc", "build", "--help"]).stdout.includes("span-size")
const sociProgram = hasBundle ? bundle : fileURLToPath(new URL("../src/main/soci.ts", import.meta.url))
const soci = (layer: string) => [process.execPath, sociProgram, "ztoc", "build", layer] as const

const inflateByGzip = (layer: string) => runProcess("gzip", "-dc", layer)

const load = () => loadavg()[0]?.toFixed(1)

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`

const makeLayers = Effect.fnUntraced(function* (work: string) {
  const lists = chooseFiles([layerSize, layerSize, largeLayerSize])
  const levels = [6, 6, 1]
  return lists.map((files, i) => {
    const layer = path.join(work, `layer-${i}.tar.gz`)
    const level = levels[i] ?? 6
    const size = makeLayer(layer, files, level)
    const compressed = megabytes(statSync(layer).size)
    console.log(`layer ${i}: ${files.length} files, ${megabytes(size)}, ${compressed} by gzip -${level}`)
    return layer
  })
})

const build = Effect.fnUntraced(function* (file: string, layerDigest?: Digest) {
  const builder = yield* ZtocBuilder
  const { size, handle } = yield* openFile(file)
  const built = yield* builder.build(readRangeReusing(handle, 0, size, fileFailed("read", file)), {
    compression: "gzip",
    spanSize: defaultSpanSize,
    buildToolIdentifier: defaultBuildToolIdentifier,
    layerDigest
  })
  return built
}, Effect.scoped)

const buildRounds = Effect.fnUntraced(function* (figures: Figures, first: string, second: string) {
  const both = [first, second]
  const { layerDigest } = yield* build(first)
  yield* Effect.forEach(both, (layer) => build(layer), { concurrency: 2 })
  const buildBoth = Effect.forEach(both, (layer) => build(layer), { concurrency: 2 })
  for (let round = 0; round < rounds; round++) {
    yield* figures.time("gzip -dc", inflateByGzip(first))
    yield* figures.time("build, process with its start", runProcess(...soci(first)))
    // A thread that stood still has forgotten what it had compiled: both are woken before they are measured.
    yield* buildBoth
    yield* figures.time("build, warm", build(first))
    yield* figures.time("two builds", buildBoth)
    yield* figures.time("build, warm, layer digest known", build(first, layerDigest))
    yield* figures.time("second build alone", build(second))
    yield* figures.time("two gzip -dc", Effect.forEach(both, inflateByGzip, { concurrency: 2 }))
  }
})

/**
 * Blocks at places that are the same in every run, each read by itself; and the spans they lie in inflated. By turns, but not one by one:
 * what collecting the memory of one costs would count as the other's time.
 */
const extractBlocks = Effect.fnUntraced(function* (figures: Figures, file: string) {
  const inflate = yield* Inflate
  const ztoc = yield* Effect.fromResult(decodeZtoc((yield* build(file)).bytes))
  const { checkpoints } = yield* Effect.fromResult(decodeGzipZinfo(ztoc.checkpoints))
  const layerFile = yield* openLayerFile(file)
  const layer = yield* ZtocReader.use((reader) => reader.open(ztoc, layerFile))
  const bytes = readFileSync(file)
  const step = 2_654_435_761
  const offsets = Array.from({ length: blocks }, (_, i) => (i * step) % (ztoc.uncompressedArchiveSize - blockSize))
  const inflateSpanAt = (offset: number) => {
    const span = layer.spans[spanAt(layer.spans, offset)]
    const checkpoint = checkpoints[span?.id ?? -1]
    if (span === undefined || checkpoint === undefined) return Effect.die(new Error(`no span at ${offset}`))
    const compressed = bytes.subarray(span.compressedStart, span.compressedEnd)
    const length = span.uncompressedEnd - span.uncompressedStart
    return inflate.inflate({ compressed, bits: checkpoint.bits, window: checkpoint.window, length })
  }
  for (let first = 0; first < blocks; first += blocksInTurn) {
    const turn = offsets.slice(first, first + blocksInTurn)
    yield* Effect.forEach(turn, (offset) => figures.time("inflate one span in memory", inflateSpanAt(offset)))
    yield* Effect.forEach(turn, (offset) =>
      figures.time("extract 4 KiB: read, verify, inflate", Stream.runDrain(layer.range(offset, blockSize)))
    )
  }
  return inflate.implementation
}, Effect.scoped)

const program = Effect.gen(function* () {
  const work = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(path.join(process.argv[2] ?? tmpdir(), "effect-soci-bench-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
  )
  const [first = "", second = "", large = ""] = yield* makeLayers(work)
  const before = load()
  const figures = new Figures()
  yield* buildRounds(figures, first, second)
  const implementation = yield* extractBlocks(figures, first)
  const memory = yield* peakMemoryOf(...soci(large))
  const memoryAtStart = yield* peakMemoryOf(process.execPath, sociProgram, "--version")

  console.log(
    `load of the machine ${before} before, ${load()} after; process: ${path.relative(process.cwd(), sociProgram)}\n`
  )
  figures.print()
  console.log("")
  const of = (name: string, base: string) => figures.median(name) / figures.median(base)
  printTarget("build / gzip -dc", of("build, warm", "gzip -dc"), 0.55)
  printTarget("build, layer digest known / gzip -dc", of("build, warm, layer digest known", "gzip -dc"), 0.55)
  console.log(`${"process / gzip -dc".padEnd(50)} ${of("build, process with its start", "gzip -dc").toFixed(2)}`)
  const slower = Math.max(figures.median("build, warm"), figures.median("second build alone"))
  printTarget("two builds / one", figures.median("two builds") / slower, 1.2)
  console.log(`${"two gzip -dc / one, what the machine can".padEnd(50)} ${of("two gzip -dc", "gzip -dc").toFixed(2)}`)
  printTarget("peak memory of the process, layer of 1 GB", memory / 1e6, 150, " MB")
  console.log(`${"  of which it has when it does nothing".padEnd(50)} ${megabytes(memoryAtStart)}`)
  printTarget(
    `extract 4 KiB / inflate its span (${implementation})`,
    of("extract 4 KiB: read, verify, inflate", "inflate one span in memory"),
    1.2
  )
})

const inflate = InflateLive.layer()
const layers = Layer.mergeAll(ZtocBuilderWorkers.layer, Layer.provideMerge(ZtocReaderLive.layer, inflate))

program.pipe(Effect.scoped, Effect.provide(layers), NodeRuntime.runMain)

/**
 * Unpacks a layer of 250 MB and 10,000 files, beside `tar -x` of the same file on the same file system: medians of 5 rounds.
 *
 *   npm run bench unpack [DIRECTORY]
 */
import { NodeRuntime } from "@effect/platform-node"
import { Duration, Effect, Stream } from "effect"
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as UnpackerDirectory from "../src/layers/UnpackerDirectory.ts"
import { Unpacker } from "../src/services/Unpacker.ts"

const files = 10_000
const fileSize = 25_000
const filesInDirectory = 40
const rounds = 5
const chunkSize = 256 * 1024

const makeTar = (work: string): string => {
  const source = path.join(work, "source")
  const noise = readFileSync(process.execPath)
  for (let i = 0; i < files; i++) {
    const directory = path.join(source, `directory-${Math.floor(i / filesInDirectory)}`)
    if (i % filesInDirectory === 0) mkdirSync(directory, { recursive: true })
    const at = (i * 4099) % (noise.length - fileSize)
    writeFileSync(path.join(directory, `file-${i}`), noise.subarray(at, at + fileSize))
  }
  const tar = path.join(work, "layer.tar")
  execFileSync("tar", ["--format=pax", "-C", source, "-cf", tar, "."])
  rmSync(source, { recursive: true })
  return tar
}

/** From memory, as it comes from an inflater: reading files through Node's streams would be half of the time. */
const inChunks = (tar: Uint8Array) => {
  const count = Math.ceil(tar.length / chunkSize)
  return Stream.range(0, count - 1).pipe(
    Stream.rechunk(1),
    Stream.map((i) => tar.subarray(i * chunkSize, (i + 1) * chunkSize))
  )
}

/** Milliseconds of one unpack into a new directory; what was written before is on disk, and removing is not counted. */
const measure = <E, R>(work: string, unpack: (directory: string) => Effect.Effect<unknown, E, R>) =>
  Effect.gen(function* () {
    const directory = mkdtempSync(path.join(work, "target-"))
    execFileSync("sync")
    const [duration] = yield* Effect.timed(unpack(directory))
    rmSync(directory, { recursive: true })
    return Duration.toMillis(duration)
  })

const median = (numbers: ReadonlyArray<number>) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0

const program = Effect.gen(function* () {
  const unpacker = yield* Unpacker
  const work = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(path.join(process.argv[2] ?? tmpdir(), "effect-soci-bench-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
  )
  const tar = makeTar(work)
  const bytes = readFileSync(tar)
  const ours: Array<number> = []
  const theirs: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    ours.push(
      yield* measure(work, (directory) => unpacker.unpack(inChunks(bytes), { directory, whiteouts: "overlay" }))
    )
    theirs.push(
      yield* measure(work, (directory) =>
        Effect.sync(() => execFileSync("tar", ["--same-owner", "-xpf", tar, "-C", directory]))
      )
    )
  }
  const row = (name: string, times: ReadonlyArray<number>) => {
    const time = median(times)
    console.log(
      `${name.padEnd(10)} ${time.toFixed(0).padStart(6)} ms ${(bytes.length / 1e3 / time).toFixed(0).padStart(6)} MB/s`
    )
  }
  row("Unpacker", ours)
  row("tar -x", theirs)
  console.log(`ratio      ${(median(ours) / median(theirs)).toFixed(2)}`)
})

program.pipe(Effect.scoped, Effect.provide(UnpackerDirectory.layer), NodeRuntime.runMain)

/**
 * What a mounted layer must be, whatever serves it.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer } from "effect"
import { execFile, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as fsp from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import * as FuseDriverKernel from "../../src/layers/FuseDriverKernel.ts"
import * as LayerMounterLive from "../../src/layers/LayerMounterLive.ts"
import type { FuseDriver } from "../../src/services/FuseDriver.ts"
import { LayerMounter, type MountMode } from "../../src/services/LayerMounter.ts"
import type { Layer as OpenLayer } from "../../src/services/LayerReader.ts"
import { noise } from "./content.ts"
import { type FileFacts, fileTree } from "./fileTree.ts"
import { heldLayer } from "./heldLayer.ts"
import { bigContent, crowd, nastyFacts, nastyLayer } from "./nastyLayer.ts"
import { temporaryDirectory } from "./temporaryDirectory.ts"
import { file } from "./tocEntries.ts"

const mounterOver = (driver: Layer.Layer<FuseDriver>) =>
  Layer.unwrap(
    Effect.map(temporaryDirectory, (directory) => LayerMounterLive.layer({ runDirectory: `${directory}/run` }))
  ).pipe(Layer.provide(driver))

export const mounter = mounterOver(FuseDriverKernel.layer())

/** A driver, and what it cannot do of what a mounted layer must be. */
export interface MountedDriver {
  readonly name: "kernel" | "fuse-native"
  readonly driver: Layer.Layer<FuseDriver>
  /** How files are shown that cannot be shown as they are. */
  readonly shown: (facts: Readonly<Record<string, FileFacts>>) => Readonly<Record<string, FileFacts>>
  /** Whether it has kernels check access lists. */
  readonly accessLists: boolean
  /** Whether it hears that a reader is being killed. */
  readonly hearsOfKills: boolean
}

export const kernelDriver: MountedDriver = {
  name: "kernel",
  driver: FuseDriverKernel.layer(),
  shown: (facts) => facts,
  accessLists: true,
  hearsOfKills: true
}

/** Mounts at a directory of its own, which other users can reach. */
export const mountLayer = Effect.fnUntraced(function* (layer: OpenLayer, mode: MountMode) {
  const parent = yield* temporaryDirectory
  const mountPoint = `${parent}/mnt`
  yield* Effect.promise(() => fsp.chmod(parent, 0o755))
  yield* Effect.promise(() => fsp.mkdir(mountPoint))
  const mounter = yield* LayerMounter
  const mounted = yield* mounter.mount({ layer, mountPoint, mode, opaqueXattr: "trusted" })
  assert.strictEqual(mounted.mode, mode)
  return mountPoint
})

const run = promisify(execFile)

const readFile = (path: string) => Effect.tryPromise(() => fsp.readFile(path))

/** A process that ends with the scope. */
const start = (command: string, args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(command, args, { stdio: "ignore" })
      const ended = new Promise<number | string | null>((resolve) =>
        child.on("exit", (code, signal) => resolve(code ?? signal))
      )
      return { child, ended: Effect.promise(() => ended) }
    }),
    ({ child, ended }) => {
      child.kill("SIGKILL")
      return ended
    }
  )

const cyclesProgram = fileURLToPath(new URL("mountCycles.ts", import.meta.url))

/** The code of the error that a call throws. */
const codeOf = (call: () => void): unknown => {
  try {
    call()
    return "none"
  } catch (error) {
    return error instanceof Error && "code" in error ? error.code : "?"
  }
}

const twoSpans = noise(100_000, 3)

export const layerMountSuite = (mode: Exclude<MountMode, "auto">, serving = kernelDriver): void => {
  const { name, driver, shown, accessLists, hearsOfKills } = serving
  const by = name === "kernel" ? mode : `${mode} through ${name}`

  /** Past FUSE's page cache, so that the read itself waits; EROFS always reads its device so. */
  const directly = mode === "fuse" ? ["iflag=direct"] : []

  layer(mounterOver(driver), { excludeTestServices: true })(`a layer mounted by ${by}`, (it) => {
    it.effect("shows every file as the layer has it", () =>
      Effect.gen(function* () {
        const mountPoint = yield* mountLayer(yield* nastyLayer(), mode)
        const found = fileTree(mountPoint)
        const expected = mode === "fuse" ? shown(nastyFacts()) : nastyFacts()
        assert.deepStrictEqual(Object.keys(found).toSorted(), Object.keys(expected))
        for (const [path, facts] of Object.entries(expected)) assert.deepStrictEqual(found[path], facts, path)
        const root = fs.lstatSync(mountPoint)
        assert.deepStrictEqual([root.mode & 0o7777, root.uid, root.gid], [0o751, 3, 4])
      })
    )

    it.effect("counts links, and gives the names of one file one number", () =>
      Effect.gen(function* () {
        const mountPoint = yield* mountLayer(yield* nastyLayer(), mode)
        const linksOf = (path: string) => fs.lstatSync(`${mountPoint}/${path}`).nlink
        assert.deepStrictEqual(["plain", "short", "char", "deep", "crowd", "deep/d"].map(linksOf), [2, 1, 1, 3, 2, 3])
        const inodes = ["plain", "dir/link to plain"].map((path) => fs.lstatSync(`${mountPoint}/${path}`).ino)
        assert.strictEqual(inodes[0], inodes[1])
        const others = fs
          .readdirSync(`${mountPoint}/crowd`)
          .map((name) => fs.lstatSync(`${mountPoint}/crowd/${name}`).ino)
        assert.strictEqual(new Set(others).size, crowd)
      })
    )

    it.effect("lists a large directory to its end, also in small steps", () =>
      Effect.gen(function* () {
        const mountPoint = yield* mountLayer(yield* nastyLayer(), mode)
        const directory = yield* Effect.promise(() => fsp.opendir(`${mountPoint}/crowd`, { bufferSize: 7 }))
        const names = yield* Effect.promise(() => Array.fromAsync(directory, ({ name }) => name))
        assert.deepStrictEqual(names.toSorted(), Array.from({ length: crowd }, (_, i) => String(i)).toSorted())
      })
    )

    it.effect("says that a name is not there, again and again", () =>
      Effect.gen(function* () {
        const mountPoint = yield* mountLayer(yield* nastyLayer(), mode)
        for (const path of ["nothing", "nothing", "dir/nothing", "plain/below"]) {
          assert.isFalse(fs.existsSync(`${mountPoint}/${path}`), path)
        }
      })
    )

    it.effect("reads any range of a file, shorter at its end and nothing behind it", () =>
      Effect.gen(function* () {
        const mountPoint = yield* mountLayer(yield* nastyLayer(), mode)
        const big = yield* Effect.acquireRelease(
          Effect.promise(() => fsp.open(`${mountPoint}/big`)),
          (handle) => Effect.promise(() => handle.close())
        )
        const end = bigContent.length
        for (const [offset, length] of [
          [0, 1],
          [1, 4095],
          [4097, 1],
          [65_535, 2],
          [1_234_567, 2_345_678],
          [end - 10, 100],
          [end - 1, 1],
          [end, 10],
          [end + 1_000_000, 10]
        ] as const) {
          const buffer = Buffer.alloc(length)
          const { bytesRead } = yield* Effect.promise(() => big.read(buffer, 0, length, offset))
          const expected = bigContent.subarray(offset, offset + length)
          assert.isTrue(buffer.subarray(0, bytesRead).equals(expected), `${offset} ${length}`)
        }
      })
    )

    it.effect("runs a program from a file", () =>
      Effect.gen(function* () {
        const mountPoint = yield* mountLayer(yield* nastyLayer(), mode)
        yield* Effect.promise(() => run(`${mountPoint}/program`))
      })
    )

    it.effect("lets nobody read what modes and access lists forbid", () =>
      Effect.gen(function* () {
        const mountPoint = yield* mountLayer(yield* nastyLayer(), mode)
        const read = (path: string, uid: number) =>
          Effect.tryPromise(() => run("cat", [`${mountPoint}/${path}`], { uid, gid: 65_534, cwd: "/" })).pipe(
            Effect.match({ onFailure: () => "refused", onSuccess: ({ stdout }) => stdout })
          )
        assert.strictEqual(yield* read("plain", 65_534), "plain text")
        assert.strictEqual(yield* read("secret", 65_534), "refused")
        assert.strictEqual(yield* read("acl", 65_534), "refused")
        // Who may read only by an access list is refused where kernels do not know of it.
        assert.strictEqual(yield* read("acl", 1000), accessLists || mode === "erofs" ? "y" : "refused")
      })
    )

    it.effect("can be changed by nobody", () =>
      Effect.gen(function* () {
        const mountPoint = yield* mountLayer(yield* nastyLayer(), mode)
        const plain = `${mountPoint}/plain`
        for (const change of [
          () => fs.writeFileSync(plain, ""),
          () => fs.chmodSync(plain, 0),
          () => fs.unlinkSync(plain),
          () => fs.mkdirSync(`${mountPoint}/new`),
          () => fs.renameSync(plain, `${mountPoint}/renamed`),
          () => fs.utimesSync(plain, 0, 0)
        ]) {
          assert.strictEqual(codeOf(change), "EROFS", String(change))
        }
      })
    )

    it.effect("makes a reader wait until the bytes are there, and nobody else", () =>
      Effect.gen(function* () {
        const held = yield* heldLayer(
          [{ entry: file("a"), content: twoSpans }, { entry: file("b", { mode: 0o600n }) }],
          {
            held: true
          }
        )
        const mountPoint = yield* mountLayer(held, mode)
        const reading = yield* Effect.forkChild(readFile(`${mountPoint}/a`))
        yield* held.untilWaiting(1)
        assert.strictEqual((yield* Effect.promise(() => fsp.stat(`${mountPoint}/b`))).mode & 0o777, 0o600)
        assert.strictEqual(reading.pollUnsafe(), undefined)
        yield* held.release(1)
        yield* held.release(0)
        assert.isTrue((yield* Fiber.join(reading)).equals(twoSpans))
      })
    )

    it.effect("fails a read whose bytes cannot be had with EIO, and succeeds when they can", () =>
      Effect.gen(function* () {
        const held = yield* heldLayer([{ entry: file("a"), content: twoSpans }], { held: true })
        const mountPoint = yield* mountLayer(held, mode)
        const reading = yield* Effect.forkChild(Effect.flip(readFile(`${mountPoint}/a`)))
        // A kernel may ask again before it gives up.
        const refusing = yield* held
          .untilWaiting(1)
          .pipe(Effect.andThen(Effect.andThen(held.refuse(0), held.refuse(1))), Effect.forever, Effect.forkChild)
        const { cause } = yield* Fiber.join(reading)
        assert.propertyVal(cause, "code", "EIO")
        yield* Fiber.interrupt(refusing)
        yield* held.release(0)
        yield* held.release(1)
        assert.isTrue((yield* readFile(`${mountPoint}/a`)).equals(twoSpans))
      })
    )

    it.effect.skipIf(!hearsOfKills)("lets go a reader that is killed while it waits", () =>
      Effect.gen(function* () {
        const held = yield* heldLayer([{ entry: file("a"), content: twoSpans }], { held: true })
        const mountPoint = yield* mountLayer(held, mode)
        const reader = yield* start("dd", [`if=${mountPoint}/a`, "of=/dev/null", "bs=64k", ...directly])
        yield* held.untilWaiting(1)
        reader.child.kill("SIGKILL")
        assert.strictEqual(yield* reader.ended, "SIGKILL")
        yield* held.untilInterrupted(1)
      })
    )

    it.effect("does not fail a reader that gets a signal it lives with", () =>
      Effect.gen(function* () {
        const held = yield* heldLayer([{ entry: file("a"), content: twoSpans }], { held: true })
        const mountPoint = yield* mountLayer(held, mode)
        const reader = yield* start("dd", [`if=${mountPoint}/a`, "of=/dev/null", "bs=64k", ...directly])
        yield* held.untilWaiting(1)
        reader.child.kill("SIGUSR1")
        yield* Effect.sleep("250 millis")
        yield* held.release(0)
        yield* held.release(1)
        assert.strictEqual(yield* reader.ended, 0)
        assert.strictEqual(held.interrupted(), 0)
      })
    )

    it.effect("ends with its scope although a reader waits in it", () =>
      Effect.gen(function* () {
        const held = yield* heldLayer([{ entry: file("a"), content: twoSpans }], { held: true })
        const reader = yield* Effect.scoped(
          Effect.gen(function* () {
            const mountPoint = yield* mountLayer(held, mode)
            const reading = yield* Effect.forkDetach(Effect.exit(readFile(`${mountPoint}/a`)))
            yield* held.untilWaiting(1)
            return reading
          })
        )
        assert.isTrue(Exit.isFailure(yield* Fiber.join(reader)))
      })
    )

    it.effect("leaves no mount and no descriptor behind, mounted fifty times", () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const { stdout } = yield* Effect.promise(() =>
          run(process.execPath, [cyclesProgram, mode, directory, "50", name])
        )
        const { before, after }: { readonly before: number; readonly after: number } = JSON.parse(stdout)
        assert.strictEqual(after, before)
        assert.notInclude(fs.readFileSync("/proc/mounts", "utf8"), directory)
        if (mode === "erofs") assert.deepStrictEqual(fs.readdirSync(`${directory}/run`), [])
      })
    )
  })
}

import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { Worker } from "node:worker_threads"
import { FuseDriver } from "../../src/services/FuseDriver.ts"
import { type FileFacts, xattrsOf } from "../support/fileTree.ts"
import { fuseDriverSuite, mountLine, mountTree, small } from "../support/fuseDriverSuite.ts"
import { heldLayer } from "../support/heldLayer.ts"
import { hostedFuseDriver } from "../support/hostedFuseDriver.ts"
import { canErofs, canFuse } from "../support/kernelFeatures.ts"
import { layerMountSuite, type MountedDriver } from "../support/layerMountSuite.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { directory } from "../support/tocEntries.ts"

const run = promisify(execFile)
const support = (name: string) => fileURLToPath(new URL(`../support/${name}`, import.meta.url))

/** In a mount namespace of its own, where a file or directory is hidden by another. */
const withHidden = (hide: string) =>
  Effect.map(
    Effect.promise(() =>
      run("unshare", ["-m", "sh", "-ec", `${hide}; exec "$0" "$1"`, process.execPath, support("loadFuseNative.ts")])
    ),
    ({ stdout }) => stdout
  )

/** Its folder, if the optional package is installed. */
const packageFolder = (() => {
  try {
    return path.dirname(createRequire(import.meta.url).resolve("fuse-native/package.json"))
  } catch {
    return undefined
  }
})()
const hasLibfuse = ["/lib", "/usr/lib"].some((root) => fs.globSync(`${root}/{,*/}libfuse.so.2`).length > 0)
const canNative = canFuse && packageFolder !== undefined && hasLibfuse

const text = (name: string) => Buffer.from(Buffer.from(name, "latin1").toString("utf8")).toString("latin1")
const time = (nanoseconds: bigint) => String(nanoseconds < 0n ? 0n : nanoseconds - (nanoseconds % 1_000_000n))

/** Names are text, times have milliseconds and begin in 1970. */
const shown = (facts: Readonly<Record<string, FileFacts>>): Readonly<Record<string, FileFacts>> => {
  return Object.fromEntries(
    Object.entries(facts)
      .map(([path, fact]) => [text(path), { ...fact, mtime: time(BigInt(fact.mtime)) }] as const)
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
  )
}

const nativeDriver: MountedDriver = {
  name: "fuse-native",
  driver: hostedFuseDriver,
  shown,
  accessLists: false,
  hearsOfKills: false
}

describe.skipIf(!canNative)("FuseDriverNative (needs root, /dev/fuse, fuse-native and libfuse2)", () => {
  layerMountSuite("fuse", nativeDriver)
  fuseDriverSuite(nativeDriver)
})

describe.skipIf(!canNative || !canErofs)(
  "EROFS over FuseDriverNative (needs the same, and EROFS of Linux 6.12)",
  () => {
    layerMountSuite("erofs", nativeDriver)
  }
)

describe.skipIf(!canNative)("what only FuseDriverNative does (needs root, /dev/fuse, fuse-native and libfuse2)", () => {
  layer(hostedFuseDriver, { excludeTestServices: true })((it) => {
    it.effect("mounts trees under the type that harnesses count, and shows any source", () =>
      Effect.gen(function* () {
        const driver = yield* FuseDriver
        const mountPoint = yield* temporaryDirectory
        const layer = yield* heldLayer(small)
        yield* driver.mountTree({ mountPoint, source: "so,urce\\x", layer, opaqueXattr: "all" })
        assert.match(mountLine(mountPoint) ?? "", /^so,urce\\134x \S+ fuse\.rawBridge ro,nodev,.*max_read=131072/)
      })
    )

    it.effect("is asked once for what never changes, but for listings", () =>
      Effect.gen(function* () {
        const mount = yield* mountTree(yield* heldLayer(small))
        const touch = () => {
          assert.strictEqual(fs.readFileSync(`${mount.mountPoint}/a`, "utf8"), "small")
          assert.deepStrictEqual(xattrsOf(`${mount.mountPoint}/a`), {})
          assert.isFalse(fs.existsSync(`${mount.mountPoint}/missing`))
        }
        touch()
        const { requests } = yield* mount.counts
        for (let again = 0; again < 20; again++) touch()
        assert.strictEqual((yield* mount.counts).requests, requests)
        fs.readdirSync(mount.mountPoint)
        assert.strictEqual((yield* mount.counts).requests, requests + 1)
      })
    )

    it.effect("refuses a file, a path that libfuse would cut off, and a place in its own mount", () =>
      Effect.gen(function* () {
        const driver = yield* FuseDriver
        const layer = yield* heldLayer([{ entry: directory("inside") }])
        const parent = yield* temporaryDirectory
        fs.writeFileSync(`${parent}/file`, "")
        const { mountPoint } = yield* mountTree(layer)
        for (const [place, reason] of [
          [`${parent}/file`, "it is no directory"],
          [`${parent}/${"long/".repeat(250)}`, "at most 1021 bytes"],
          [`${mountPoint}/inside`, "that this process serves through fuse-native itself"]
        ] as const) {
          const tree = { mountPoint: place, source: "test", layer, opaqueXattr: "all" as const }
          const error = yield* Effect.flip(Effect.scoped(driver.mountTree(tree)))
          assert.include(error.message, reason)
        }
      })
    )
  })

  it.live("lets its process end although somebody still has a file open", () =>
    Effect.gen(function* () {
      // That the process ends is what its scope waits for.
      const handle = yield* Effect.gen(function* () {
        const { mountPoint } = yield* mountTree(yield* heldLayer(small))
        return yield* Effect.promise(() => fs.promises.open(`${mountPoint}/a`))
      }).pipe(Effect.scoped, Effect.provide(hostedFuseDriver))
      yield* Effect.ignore(Effect.tryPromise(() => handle.close()))
    })
  )

  it.live("answers a bug of ours with EIO and a line in the log, lives on, and keeps its device from children", () =>
    Effect.gen(function* () {
      const place = yield* temporaryDirectory
      const { stdout } = yield* Effect.promise(() => run(process.execPath, [support("faultyNativeMount.ts"), place]))
      const found: { readonly refused: ReadonlyArray<boolean>; readonly logged: number; readonly inherited: boolean } =
        JSON.parse(stdout)
      assert.deepStrictEqual(found.refused, [true, true, true, true])
      assert.isAtLeast(found.logged, 4)
      assert.isFalse(found.inherited)
    })
  )
})

describe.skipIf(!canNative)("FuseDriverNative where something is missing (needs it, and root to hide it)", () => {
  it.live("says how to get the package", () =>
    Effect.gen(function* () {
      const said = yield* withHidden(`mount -t tmpfs tmpfs ${packageFolder}`)
      assert.include(said, 'the npm package fuse-native is missing: "npm install fuse-native@2.2.6" installs it')
    })
  )

  it.live("says how to get a binary", () =>
    Effect.gen(function* () {
      const said = yield* withHidden(`mount -t tmpfs tmpfs ${packageFolder}/prebuilds`)
      assert.include(said, "the npm package fuse-native has no binary for this machine")
    })
  )

  it.live("says how to get the library", () =>
    Effect.gen(function* () {
      const said = yield* withHidden(
        `mount --bind /dev/null "$(readlink -f "$(ldconfig -p | sed -n 's/.*libfuse.so.2 .*=> //p' | head -1)")"`
      )
      assert.include(said, "the library libfuse.so.2 is missing: install the Debian package libfuse2")
    })
  )

  it.live("says that it can be used on the main thread only", () =>
    Effect.gen(function* () {
      const worker = new Worker(support("loadFuseNative.ts"), { stdout: true })
      const said = yield* Effect.promise(async () => Buffer.concat(await Array.fromAsync(worker.stdout)).toString())
      assert.include(said, "fuse-native answers on the main thread only")
    })
  )
})

import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as fs from "node:fs"
import * as fsp from "node:fs/promises"
import * as OverlayMounterLive from "../../src/layers/OverlayMounterLive.ts"
import { OverlayMounter } from "../../src/services/OverlayMounter.ts"
import { heldLayer } from "../support/heldLayer.ts"
import { canErofs, canFuse, canOverlay } from "../support/kernelFeatures.ts"
import { mounter, mountLayer } from "../support/layerMountSuite.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { directory, entry, file, symlink } from "../support/tocEntries.ts"

const content = (text: string) => Buffer.from(text)

const below = [
  { entry: file("kept"), content: content("kept") },
  { entry: file("replaced"), content: content("below") },
  { entry: file("removed"), content: content("removed") },
  { entry: file("merged/below"), content: content("1") },
  { entry: file("merged/gone"), content: content("2") },
  { entry: file("hidden/below"), content: content("3") },
  { entry: directory("becomes file") },
  { entry: entry("null", "char", { mode: 0o666n, devmajor: 1n, devminor: 3n }) }
]
const above = [
  { entry: file("replaced"), content: content("above") },
  { entry: file(".wh.removed") },
  { entry: file("merged/above"), content: content("4") },
  { entry: file("merged/.wh.gone") },
  { entry: file("hidden/.wh..wh..opq") },
  { entry: file("hidden/above"), content: content("5") },
  { entry: file("becomes file"), content: content("6") },
  { entry: symlink("link", "kept") }
]

const list = (root: string): ReadonlyArray<string> =>
  fs.readdirSync(root, { recursive: true, encoding: "utf8" }).toSorted()

const merged = [
  "becomes file",
  "hidden",
  "hidden/above",
  "kept",
  "link",
  "merged",
  "merged/above",
  "merged/below",
  "null",
  "replaced"
]

const makeDirectories = (...names: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const root = yield* temporaryDirectory
    for (const name of names) yield* Effect.promise(() => fsp.mkdir(`${root}/${name}`, { recursive: true }))
    return root
  })

const isMounted = (mountPoint: string) => fs.readFileSync("/proc/mounts", "utf8").includes(` ${mountPoint} `)

describe.skipIf(!canOverlay)("OverlayMounterLive (needs root and overlayfs)", () => {
  layer(Layer.merge(OverlayMounterLive.layer, mounter), { excludeTestServices: true })((it) => {
    for (const mode of ["fuse", "erofs"] as const) {
      it.effect.skipIf(mode === "fuse" ? !canFuse : !canErofs)(
        `merges whiteouts and opaque directories of ${mode} layers`,
        () =>
          Effect.gen(function* () {
            const overlay = yield* OverlayMounter
            const lowerDirs = [
              yield* mountLayer(yield* heldLayer(above), mode),
              yield* mountLayer(yield* heldLayer(below), mode)
            ]
            const mountPoint = yield* makeDirectories()
            yield* overlay.mount({ mountPoint, lowerDirs })
            assert.deepStrictEqual(list(mountPoint), merged)
            const texts = ["replaced", "link", "merged/below", "hidden/above", "becomes file"].map((name) =>
              fs.readFileSync(`${mountPoint}/${name}`, "utf8")
            )
            assert.deepStrictEqual(texts, ["above", "kept", "1", "5", "6"])
            // The layers' own mounts forbid it, the overlay does not.
            fs.writeFileSync(`${mountPoint}/null`, "swallowed", { flag: "r+" })
          })
      )

      it.effect.skipIf(mode === "fuse" ? !canFuse : !canErofs)(
        `takes changes of ${mode} layers to the upper directory`,
        () =>
          Effect.gen(function* () {
            const overlay = yield* OverlayMounter
            const lower = yield* mountLayer(yield* heldLayer(below), mode)
            const root = yield* makeDirectories("mnt", "upper", "work")
            const mountPoint = `${root}/mnt`
            yield* overlay.mount({ mountPoint, lowerDirs: [lower], upperDir: `${root}/upper`, workDir: `${root}/work` })
            fs.appendFileSync(`${mountPoint}/kept`, " and changed")
            fs.rmSync(`${mountPoint}/merged`, { recursive: true })
            assert.strictEqual(fs.readFileSync(`${root}/upper/kept`, "utf8"), "kept and changed")
            assert.isFalse(fs.existsSync(`${mountPoint}/merged`))
            assert.strictEqual(fs.readFileSync(`${lower}/kept`, "utf8"), "kept")
          })
      )
    }

    it.effect("shows a single directory, which nobody can change", () =>
      Effect.gen(function* () {
        const overlay = yield* OverlayMounter
        const root = yield* makeDirectories("mnt", "lower/directory")
        yield* overlay.mount({ mountPoint: `${root}/mnt`, lowerDirs: [`${root}/lower`] })
        assert.deepStrictEqual(list(`${root}/mnt`), ["directory"])
        assert.throws(() => fs.mkdirSync(`${root}/mnt/new`), /EROFS/)
      })
    )

    it.effect("takes names with every character that means something to mount options", () =>
      Effect.gen(function* () {
        const overlay = yield* OverlayMounter
        const odd = String.raw`a,b:c\d=e`
        const root = yield* makeDirectories("mnt", `${odd} lower/x`, `${odd} upper`, `${odd} work`)
        yield* overlay.mount({
          mountPoint: `${root}/mnt`,
          lowerDirs: [`${root}/${odd} lower`],
          upperDir: `${root}/${odd} upper`,
          workDir: `${root}/${odd} work`
        })
        fs.writeFileSync(`${root}/mnt/new`, "")
        assert.deepStrictEqual(list(`${root}/mnt`), ["new", "x"])
        assert.deepStrictEqual(list(`${root}/${odd} upper`), ["new"])
      })
    )

    it.effect("stacks five hundred directories in their order", () =>
      Effect.gen(function* () {
        const overlay = yield* OverlayMounter
        const names = Array.from({ length: 500 }, (_, i) => `a-long-enough-name-of-a-lower-directory/${i}`)
        const root = yield* makeDirectories("mnt", "upper", "work", ...names)
        for (const [i, name] of names.entries()) {
          fs.writeFileSync(`${root}/${name}/own-${i}`, "")
          fs.writeFileSync(`${root}/${name}/top`, String(i))
        }
        const lowerDirs = names.map((name) => `${root}/${name}`)
        const readOnly = Effect.scoped(
          Effect.gen(function* () {
            yield* overlay.mount({ mountPoint: `${root}/mnt`, lowerDirs })
            assert.strictEqual(fs.readFileSync(`${root}/mnt/top`, "utf8"), "0")
            assert.strictEqual(list(`${root}/mnt`).length, 501)
            assert.throws(() => fs.mkdirSync(`${root}/mnt/new`), /EROFS/)
          })
        )
        yield* readOnly
        yield* overlay.mount({
          mountPoint: `${root}/mnt`,
          lowerDirs,
          upperDir: `${root}/upper`,
          workDir: `${root}/work`,
          options: ["xino=off"]
        })
        fs.writeFileSync(`${root}/mnt/top`, "changed")
        assert.strictEqual(fs.readFileSync(`${root}/upper/top`, "utf8"), "changed")
      })
    )

    it.effect("refuses what overlayfs cannot do, and says why", () =>
      Effect.gen(function* () {
        const overlay = yield* OverlayMounter
        const root = yield* makeDirectories("mnt", "lower")
        const mountPoint = `${root}/mnt`
        const lower = `${root}/lower`
        const errorOf = (options: Omit<Parameters<typeof overlay.mount>[0], "mountPoint">) =>
          Effect.map(Effect.flip(overlay.mount({ mountPoint, ...options })), ({ message }) => message)
        assert.strictEqual(
          yield* errorOf({ lowerDirs: [] }),
          `cannot mount overlay at ${mountPoint}: it has no lower directory`
        )
        assert.include(yield* errorOf({ lowerDirs: Array.from({ length: 501 }, () => lower) }), "overlayfs takes 500")
        assert.include(yield* errorOf({ lowerDirs: [lower], upperDir: `${root}/upper` }), "given together")
        assert.include(yield* errorOf({ lowerDirs: [lower, `${root}/missing`] }), "no such file or directory (ENOENT)")
        assert.include(yield* errorOf({ lowerDirs: [lower], options: ["nonsense=1"] }), "invalid argument (EINVAL)")
        assert.isFalse(isMounted(mountPoint))
      })
    )

    it.effect("is unmounted with its scope, also while it is in use", () =>
      Effect.gen(function* () {
        const overlay = yield* OverlayMounter
        const root = yield* makeDirectories("mnt", "lower")
        fs.writeFileSync(`${root}/lower/open`, "still here")
        const descriptor = yield* Effect.scoped(
          Effect.gen(function* () {
            yield* overlay.mount({ mountPoint: `${root}/mnt`, lowerDirs: [`${root}/lower`] })
            assert.isTrue(isMounted(`${root}/mnt`))
            return fs.openSync(`${root}/mnt/open`, "r")
          })
        )
        assert.isFalse(isMounted(`${root}/mnt`))
        assert.strictEqual(fs.readFileSync(descriptor, "utf8"), "still here")
        fs.closeSync(descriptor)
      })
    )
  })
})

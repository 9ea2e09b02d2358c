/**
 * What a FUSE driver must do, whichever it is. What makes a mounted layer is in `layerMountSuite`.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import koffi from "koffi"
import { execFile } from "node:child_process"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as fsp from "node:fs/promises"
import * as path from "node:path"
import { getSystemErrorName, promisify } from "node:util"
import { FuseDriver } from "../../src/services/FuseDriver.ts"
import type { Layer as OpenLayer } from "../../src/services/LayerReader.ts"
import { noise } from "./content.ts"
import { xattrsOf } from "./fileTree.ts"
import { heldLayer } from "./heldLayer.ts"
import type { MountedDriver } from "./layerMountSuite.ts"
import { mountAndDie } from "./mountAndDie.ts"
import { temporaryDirectory } from "./temporaryDirectory.ts"
import { directory, file } from "./tocEntries.ts"

const run = promisify(execFile)

const libc = koffi.load(null)
export const lgetxattr: (path: string, key: string, value: Buffer | null, size: number) => number = libc.func(
  "int64_t lgetxattr(const char *path, const char *key, void *value, size_t size)"
)
const llistxattr: (path: string, list: Buffer | null, size: number) => number = libc.func(
  "int64_t llistxattr(const char *path, void *list, size_t size)"
)

/** What a system call answered, or the name of its error. */
const answered = (result: number): number | string =>
  result < 0 ? (getSystemErrorName(-koffi.errno()) ?? "?") : result

export const mountTree = Effect.fnUntraced(function* (
  layer: OpenLayer,
  opaqueXattr: "trusted" | "user" | "all" = "trusted"
) {
  const driver = yield* FuseDriver
  const mountPoint = `${yield* temporaryDirectory}/mnt`
  yield* Effect.promise(() => fsp.mkdir(mountPoint))
  return yield* driver.mountTree({ mountPoint, source: "test", layer, opaqueXattr })
})

const mountBlobs = Effect.gen(function* () {
  const driver = yield* FuseDriver
  const mountPoint = yield* temporaryDirectory
  return yield* driver.mountBlobs({ mountPoint, source: "test" })
})

export const mountLine = (mountPoint: string) =>
  fs
    .readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .find((line) => line.split(" ")[1] === mountPoint)

export const small = [{ entry: file("a"), content: Buffer.from("small") }]
const twoSpans = noise(100_000, 5)

const read = (path: string) => Effect.tryPromise(() => fsp.readFile(path))

export const fuseDriverSuite = ({ name, driver }: MountedDriver): void => {
  layer(driver, { excludeTestServices: true })(`the FUSE driver ${name}`, (it) => {
    it.effect("counts the reads that waited", () =>
      Effect.gen(function* () {
        const held = yield* heldLayer([{ entry: file("a"), content: twoSpans }], { held: true })
        const mount = yield* mountTree(held)
        const reading = yield* Effect.forkChild(read(`${mount.mountPoint}/a`))
        yield* held.untilWaiting(1)
        assert.strictEqual((yield* mount.counts).waited, 1)
        yield* held.release(0)
        yield* held.release(1)
        yield* Fiber.join(reading)
        const { waited } = yield* mount.counts
        assert.isTrue((yield* read(`${mount.mountPoint}/a`)).equals(twoSpans))
        assert.strictEqual((yield* mount.counts).waited, waited)
      })
    )

    for (const [which, keys] of [
      ["trusted", ["trusted.overlay.opaque"]],
      ["user", ["user.overlay.opaque"]],
      ["all", ["trusted.overlay.opaque", "user.overlay.opaque"]]
    ] as const) {
      it.effect(`marks opaque directories by ${which} names, whatever the layer says of them`, () =>
        Effect.gen(function* () {
          const pax = [["SCHILY.xattr.user.overlay.opaque", "n"]] as const
          const opaque = [{ entry: directory("d", { pax }) }, { entry: file("d/.wh..wh..opq") }]
          const { mountPoint } = yield* mountTree(yield* heldLayer(opaque), which)
          const expected = Object.fromEntries(keys.map((key) => [key, "y"]))
          const shown = { "user.overlay.opaque": "n", ...expected }
          assert.deepStrictEqual(xattrsOf(`${mountPoint}/d`), shown)
          assert.strictEqual(llistxattr(`${mountPoint}/d`, null, 0), Object.keys(shown).join("\0").length + 1)
        })
      )
    }

    it.effect("gives attributes to those who have room for them, and says how much it takes", () =>
      Effect.gen(function* () {
        const pax = [["SCHILY.xattr.user.key", "a value"]] as const
        const { mountPoint } = yield* mountTree(yield* heldLayer([{ entry: file("a", { pax }) }, { entry: file("b") }]))
        const [a, b] = [`${mountPoint}/a`, `${mountPoint}/b`]
        const room = Buffer.alloc(100)
        assert.strictEqual(answered(lgetxattr(a, "user.key", room, room.length)), 7)
        assert.strictEqual(room.toString("latin1", 0, 7), "a value")
        assert.strictEqual(answered(lgetxattr(a, "user.key", null, 0)), 7)
        assert.strictEqual(answered(lgetxattr(a, "user.key", room, 6)), "ERANGE")
        assert.strictEqual(answered(lgetxattr(a, "user.other", room, room.length)), "ENODATA")
        assert.strictEqual(answered(lgetxattr(b, "user.key", room, room.length)), "ENODATA")
        assert.strictEqual(answered(llistxattr(a, room, 8)), "ERANGE")
        assert.strictEqual(answered(llistxattr(a, room, 9)), 9)
        assert.strictEqual(answered(llistxattr(b, room, 9)), 0)
      })
    )

    it.effect("has the kernel check modes, also where no file has an access list", () =>
      Effect.gen(function* () {
        const { mountPoint } = yield* mountTree(
          yield* heldLayer([{ entry: file("a", { mode: 0o600n }), content: Buffer.from("secret") }])
        )
        yield* Effect.promise(() => fsp.chmod(path.dirname(mountPoint), 0o755))
        const stranger = { uid: 65_534, gid: 65_534, cwd: "/" }
        const { cause } = yield* Effect.flip(Effect.tryPromise(() => run("cat", [`${mountPoint}/a`], stranger)))
        assert.propertyVal(cause, "stderr", `cat: ${mountPoint}/a: Permission denied\n`)
        yield* Effect.promise(() => run("stat", [`${mountPoint}/a`], stranger))
      })
    )

    it.effect("speaks of the file system that holds the spans", () =>
      Effect.gen(function* () {
        const held = yield* heldLayer(small)
        const { mountPoint } = yield* mountTree(held)
        const [shown, real] = yield* Effect.promise(() =>
          Promise.all([mountPoint, held.spans.path].map((shown) => fsp.statfs(shown)))
        )
        assert.deepStrictEqual([shown?.blocks, shown?.bsize, shown?.files], [real?.blocks, real?.bsize, real?.files])
      })
    )

    it.effect("fails reads of data that lie outside the stream", () =>
      Effect.gen(function* () {
        const held = yield* heldLayer([{ entry: file("a", { offset: 1024 * 1024, size: 10 }) }])
        const { mountPoint } = yield* mountTree(held)
        const { cause } = yield* Effect.flip(read(`${mountPoint}/a`))
        assert.propertyVal(cause, "code", "EIO")
      })
    )

    it.effect("serves twenty readers at the same time, whose bytes come late", () =>
      Effect.gen(function* () {
        const contents = Array.from({ length: 20 }, (_, i) => noise(150_000, i + 1))
        const held = yield* heldLayer(
          contents.map((content, i) => ({ entry: file(`f${i}`), content })),
          { held: true }
        )
        const { mountPoint } = yield* mountTree(held)
        const readers = yield* Effect.forEach(contents, (_, i) =>
          Effect.forkChild(Effect.tryPromise(() => run("sha256sum", [`${mountPoint}/f${i}`])))
        )
        yield* held.untilWaiting(readers.length)
        const spans = Math.ceil(held.stream.length / 65_536)
        yield* Effect.forEach(Array.from({ length: spans }).keys(), (span) => held.release(spans - 1 - span))
        for (const [i, reader] of readers.entries()) {
          const { stdout } = yield* Fiber.join(reader)
          assert.strictEqual(
            stdout.split(" ")[0],
            createHash("sha256")
              .update(contents[i] ?? "")
              .digest("hex")
          )
        }
      })
    )

    it.effect("runs a program whose bytes come while kernels map it into memory", () =>
      Effect.gen(function* () {
        const program = { entry: file("program", { mode: 0o755n }), content: fs.readFileSync("/bin/true") }
        const held = yield* heldLayer([program], { held: true })
        const { mountPoint } = yield* mountTree(held)
        // Through a shell: whoever starts a program waits until it is loaded, which here is for us.
        const running = yield* Effect.forkChild(
          Effect.tryPromise(() => run("sh", ["-c", `${mountPoint}/program; exit $?`]))
        )
        yield* held.untilWaiting(1)
        const spans = Math.ceil(held.stream.length / 65_536)
        yield* Effect.forEach(Array.from({ length: spans }).keys(), held.release)
        yield* Fiber.join(running)
      })
    )

    it.effect("gives readers the bytes that the disk has no room for", () =>
      Effect.gen(function* () {
        const held = yield* heldLayer([{ entry: file("a"), content: twoSpans }], { held: true })
        const supply = (offset: number, length: number) => Effect.succeed(held.stream.subarray(offset, offset + length))
        const { mountPoint } = yield* mountTree({ ...held, spans: { ...held.spans, supply } })
        assert.isTrue((yield* read(`${mountPoint}/a`)).equals(twoSpans))
      })
    )

    it.effect("serves many mounts at the same time", () =>
      Effect.gen(function* () {
        const held = yield* Effect.forEach(Array.from({ length: 12 }).keys(), (i) =>
          heldLayer([{ entry: file("a"), content: noise(300_000, i + 1) }])
        )
        const mounts = yield* Effect.forEach(held, (one) => mountTree(one), { concurrency: "unbounded" })
        const contents = yield* Effect.forEach(mounts, ({ mountPoint }) => read(`${mountPoint}/a`), {
          concurrency: "unbounded"
        })
        for (const [i, content] of contents.entries()) assert.isTrue(content.equals(noise(300_000, i + 1)), String(i))
      })
    )

    it.effect("says why it cannot mount", () =>
      Effect.gen(function* () {
        const driver = yield* FuseDriver
        const layer = yield* heldLayer(small)
        const mountPoint = `${yield* temporaryDirectory}/missing`
        const error = yield* Effect.flip(
          Effect.scoped(driver.mountTree({ mountPoint, source: "test", layer, opaqueXattr: "all" }))
        )
        assert.strictEqual(error.message, `cannot mount fuse at ${mountPoint}: no such file or directory (ENOENT)`)
        assert.strictEqual(error.errno, 2)
      })
    )

    it.effect("says why it cannot serve spans whose file is gone", () =>
      Effect.gen(function* () {
        const held = yield* heldLayer(small)
        const gone = { ...held.spans, path: `${held.spans.path}.gone` }
        const error = yield* Effect.flip(Effect.scoped(mountTree({ ...held, spans: gone })))
        assert.include(error.message, `${gone.path} cannot be opened: ENOENT`)
      })
    )

    it.effect("takes itself from the name space while it is in use, and answers errors from then on", () =>
      Effect.gen(function* () {
        const held = yield* heldLayer([{ entry: file("a"), content: twoSpans }], { held: true })
        const scope = yield* Scope.make()
        const { mountPoint } = yield* Scope.provide(mountTree(held), scope)
        const handle = yield* Effect.promise(() => fsp.open(`${mountPoint}/a`))
        yield* Scope.close(scope, Exit.void)
        assert.isUndefined(mountLine(mountPoint))
        const { cause } = yield* Effect.flip(Effect.tryPromise(() => handle.readFile()))
        assert.property(cause, "code")
        // Closing asks the dead mount to flush.
        yield* Effect.ignore(Effect.tryPromise(() => handle.close()))
      })
    )

    it.effect("bears that somebody else unmounts", () =>
      Effect.gen(function* () {
        const { mountPoint } = yield* Effect.scoped(
          Effect.gen(function* () {
            const mount = yield* mountTree(yield* heldLayer(small))
            yield* Effect.promise(() => run("umount", [mount.mountPoint]))
            return mount
          })
        )
        assert.isUndefined(mountLine(mountPoint))
        const other = yield* mountTree(yield* heldLayer(small))
        assert.strictEqual((yield* read(`${other.mountPoint}/a`)).toString(), "small")
      })
    )

    it.effect("does not keep alive a process that is killed with a file of its own mount open", () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        yield* mountAndDie(directory, "open", name)
        assert.throws(() => fs.readdirSync(`${directory}/mnt`), /ENOTCONN/)
        yield* Effect.promise(() => run("umount", [`${directory}/mnt`]))
      })
    )

    it.effect("shows streams and bytes as files, as long as their scopes are open", () =>
      Effect.gen(function* () {
        const blobs = yield* mountBlobs
        const held = yield* heldLayer([{ entry: file("a"), content: twoSpans }])
        const stream = yield* blobs.addLayer("stream.tar", held.spans)
        assert.isTrue((yield* read(stream)).equals(held.stream))
        const scoped = Effect.scoped(
          Effect.gen(function* () {
            const path = yield* blobs.addBytes("bytes", Buffer.from("some bytes"))
            assert.strictEqual(path, `${blobs.mountPoint}/bytes`)
            assert.strictEqual((yield* read(path)).toString(), "some bytes")
            assert.deepStrictEqual(fs.readdirSync(blobs.mountPoint).toSorted(), ["bytes", "stream.tar"])
            assert.strictEqual(fs.statSync(path).mode & 0o7777, 0o400)
          })
        )
        yield* scoped
        assert.deepStrictEqual(fs.readdirSync(blobs.mountPoint), ["stream.tar"])
        assert.isFalse(fs.existsSync(`${blobs.mountPoint}/bytes`))
        yield* scoped
      })
    )

    it.effect("shows new bytes under an old name", () =>
      Effect.gen(function* () {
        const blobs = yield* mountBlobs
        for (const text of ["first", "second, and longer"]) {
          const add = Effect.flatMap(blobs.addBytes("name", Buffer.from(text)), read)
          assert.strictEqual((yield* Effect.scoped(add)).toString(), text)
        }
      })
    )

    it.effect("fails who still reads a stream that was taken away", () =>
      Effect.gen(function* () {
        const blobs = yield* mountBlobs
        const held = yield* heldLayer([{ entry: file("a"), content: twoSpans }], { held: true })
        const scope = yield* Scope.make()
        const path = yield* Scope.provide(blobs.addLayer("stream", held.spans), scope)
        const reading = yield* Effect.forkChild(Effect.flip(read(path)))
        yield* held.untilWaiting(1)
        yield* Scope.close(scope, Exit.void)
        assert.propertyVal((yield* Fiber.join(reading)).cause, "code", "EIO")
      })
    )

    it.effect("refuses names that are taken or are none", () =>
      Effect.gen(function* () {
        const blobs = yield* mountBlobs
        yield* blobs.addBytes("taken", new Uint8Array(1))
        for (const name of ["taken", "", ".", "..", "a/b", "n".repeat(256)]) {
          const error = yield* Effect.flip(blobs.addBytes(name, new Uint8Array(1)))
          assert.include(error.message, `the file "${name}" cannot be shown`)
        }
      })
    )
  })
}

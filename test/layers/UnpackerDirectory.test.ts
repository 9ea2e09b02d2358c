import { assert, describe, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as UnpackerDirectory from "../../src/layers/UnpackerDirectory.ts"
import { Unpacker } from "../../src/services/Unpacker.ts"
import { chunked, noise } from "../support/content.ts"
import { fileTree } from "../support/fileTree.ts"
import { tarOf } from "../support/tarArchive.ts"
import { isRoot, openBelow, unpackTar, unpackTarget } from "../support/unpackTar.ts"

const capability = Buffer.from("0100000200200000000000000000000000000000", "hex").toString("latin1")

const fileOf = (name: string, mtime: string) => ({ name, pax: { mtime } })
const directoryOf = (name: string, mtime: number) => ({ name, type: "5", mtime })

describe.skipIf(!isRoot)("UnpackerDirectory (needs root: it sets owners and makes devices)", () => {
  layer(UnpackerDirectory.layer, { excludeTestServices: true })("with its threads", (it) => {
    it.effect("makes every kind of file with all that its header says", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        const result = yield* unpackTar(
          directory,
          tarOf(
            { name: "bin/", type: "5", mode: 0o2750, uid: 5, gid: 60 },
            {
              name: "./bin//ping",
              content: "program",
              mode: 0o4755,
              uid: 12,
              gid: 34,
              mtime: 1_600_000_000,
              pax: { mtime: "1600000000.123456789", "SCHILY.xattr.security.capability": capability }
            },
            { name: "/bin/again", type: "1", linkname: "bin/ping", mode: 0o4755, uid: 12, gid: 34 },
            { name: "bin/sh", type: "2", linkname: "../no/where", uid: 7, gid: 8, mode: 0o777 },
            { name: "dev/null", type: "3", device: [1, 3], mode: 0o666 },
            { name: "dev/disk", type: "4", device: [259, 1025], mode: 0o600 },
            { name: "run/pipe", type: "6", mode: 0o622 },
            { name: "data", content: "", mode: 0o1644, uid: 4_000_000, pax: { "SCHILY.xattr.user.note": "a\0ÿ" } }
          )
        )

        const tree = fileTree(directory)
        assert.deepStrictEqual(result, { entries: 8, impliedDirectories: ["dev", "run"] })
        assert.deepInclude(tree["bin"], {
          type: "directory",
          mode: "2750",
          owner: "5:60",
          mtime: "1700000000000000000"
        })
        assert.deepInclude(tree["bin/again"], { mode: "4755", owner: "12:34", size: "7" })
        assert.deepInclude(tree["bin/ping"], { linkedTo: "bin/again", xattrs: { "security.capability": capability } })
        assert.deepInclude(tree["bin/sh"], { type: "symlink", target: "../no/where", owner: "7:8" })
        assert.deepInclude(tree["dev/null"], { type: "char", device: "1:3", mode: "666" })
        assert.deepInclude(tree["dev/disk"], { type: "block", device: "259:1025", mode: "600" })
        assert.deepInclude(tree["run/pipe"], { type: "fifo", mode: "622" })
        assert.deepInclude(tree["data"], {
          size: "0",
          mode: "1644",
          owner: "4000000:0",
          xattrs: { "user.note": "a\0ÿ" }
        })
        assert.deepInclude(tree["dev"], { mode: "755", owner: "0:0" })
      })
    )

    it.effect("keeps nanoseconds, and takes times that containerd would not set as the epoch", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        yield* unpackTar(
          directory,
          tarOf(
            fileOf("exact", "1.000000001"),
            fileOf("before", "-1.5"),
            fileOf("far", "9223372037"),
            fileOf("last", "9223372035.5")
          )
        )
        const times = Object.values(fileTree(directory)).map(({ mtime }) => mtime)
        assert.deepStrictEqual(times, ["0", "1000000001", "0", "9223372035500000000"])
      })
    )

    it.effect("leaves directories with the time of their header, whatever is made in them later", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        yield* unpackTar(
          directory,
          tarOf(
            directoryOf("a", 100),
            { name: "a/x" },
            directoryOf("a/b", 200),
            { name: "a/b/c" },
            directoryOf("a", 300)
          )
        )
        const tree = fileTree(directory)
        assert.strictEqual(tree["a"]?.mtime, "300000000000")
        assert.strictEqual(tree["a/b"]?.mtime, "200000000000")
      })
    )

    it.effect("lets a later entry take the place of an earlier one, whatever the two are", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        yield* unpackTar(
          directory,
          tarOf(
            { name: "a/deep/file", content: "old" },
            { name: "a", content: "now a file" },
            { name: "b", content: "old" },
            { name: "b", type: "5", mode: 0o700 },
            { name: "b/c", content: "inside" },
            { name: "c", type: "2", linkname: "b" },
            { name: "c", content: "no link" },
            { name: "d", type: "6" },
            { name: "d", content: "no fifo" }
          )
        )
        const types = Object.entries(fileTree(directory)).map(
          ([path, { type, size }]) => `${path} ${type} ${size ?? ""}`
        )
        assert.deepStrictEqual(types, ["a file 10", "b directory ", "b/c file 6", "c file 7", "d file 7"])
      })
    )

    it.effect("follows paths as they lead now, not as they led before something was replaced", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        yield* unpackTar(
          directory,
          tarOf(
            { name: "a/b/one" },
            { name: "c/b/two" },
            { name: "l", type: "2", linkname: "a" },
            { name: "l/b/three" },
            { name: "l", type: "2", linkname: "c" },
            { name: "l/b/four" },
            { name: "a", type: "2", linkname: "c" },
            { name: "a/b/five" }
          )
        )
        assert.deepStrictEqual(Object.keys(fileTree(directory)), [
          "a",
          "c",
          "c/b",
          "c/b/five",
          "c/b/four",
          "c/b/two",
          "l"
        ])
      })
    )

    it.effect("follows links of the layer to directories, and makes what they lack", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        const result = yield* unpackTar(
          directory,
          tarOf(
            { name: "lib", type: "2", linkname: "/usr/lib" },
            { name: "lib/one", content: "1" },
            { name: "usr/up", type: "2", linkname: "../../../usr/lib/./deeper/.." },
            { name: "usr/up/two", content: "2" }
          )
        )
        assert.deepStrictEqual(Object.keys(fileTree(directory)), [
          "lib",
          "usr",
          "usr/lib",
          "usr/lib/deeper",
          "usr/lib/one",
          "usr/lib/two",
          "usr/up"
        ])
        assert.deepStrictEqual(result.impliedDirectories, ["usr", "usr/lib", "usr/lib/deeper"])
      })
    )

    it.effect("writes the data of sparse files to their places, and leaves the holes", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        const pax = {
          "GNU.sparse.major": "0",
          "GNU.sparse.minor": "1",
          "GNU.sparse.map": "4096,3,100000000,2",
          "GNU.sparse.numblocks": "2",
          "GNU.sparse.size": "200000000"
        }
        yield* unpackTar(directory, tarOf({ name: "sparse", content: "abcde", pax }))
        const status = fs.statSync(`${directory}/sparse`)
        assert.strictEqual(status.size, 200_000_000)
        assert.isBelow(status.blocks, 100)
        const file = fs.openSync(`${directory}/sparse`, "r")
        const bytes = Buffer.alloc(4)
        fs.readSync(file, bytes, 0, 4, 4095)
        assert.strictEqual(bytes.toString(), "\0abc")
        fs.readSync(file, bytes, 0, 4, 99_999_999)
        assert.strictEqual(bytes.toString(), "\0de\0")
        fs.closeSync(file)
      })
    )

    it.effect("reads no further ahead than its eight buffers, however slow the file system is", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        const unpacker = yield* Unpacker
        const chunk = 256 * 1024
        const entriesInChunk = chunk / 1024
        const members = Array.from({ length: 30 * entriesInChunk }, (_, i) => ({ name: String(i), content: "x" }))
        let pulled = 0
        const source = chunked(tarOf(...members), chunk).pipe(
          Stream.tap(() =>
            Effect.sync(() => {
              const applied = fs.readdirSync(directory).length
              assert.isAtMost(pulled * entriesInChunk - applied, 10 * entriesInChunk)
              pulled++
            })
          )
        )
        yield* unpacker.unpack(source, { directory, whiteouts: "overlay" })
        assert.strictEqual(fs.readdirSync(directory).length, members.length)
      })
    )

    it.effect("stops when it is interrupted, with nothing left open", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        const unpacker = yield* Unpacker
        const fed = yield* Deferred.make<void>()
        const tar = tarOf({ name: "a/b/endless", content: noise(4_000_000) })
        const source = chunked(tar, 100_000).pipe(
          Stream.take(30),
          Stream.concat(Stream.fromEffectDrain(Deferred.succeed(fed, undefined))),
          Stream.concat(Stream.never)
        )
        const running = yield* Effect.forkChild(unpacker.unpack(source, { directory, whiteouts: "overlay" }))
        yield* Deferred.await(fed)
        yield* Fiber.interrupt(running)

        assert.deepStrictEqual(openBelow(directory), [])
        const left = fs.statSync(`${directory}/a/b/endless`).size
        yield* unpackTar(directory, tarOf({ name: "next", content: "the thread still works" }))
        assert.strictEqual(fs.statSync(`${directory}/a/b/endless`).size, left)
      })
    )

    it.effect("fails with its source, with nothing left open", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        const unpacker = yield* Unpacker
        const tar = tarOf({ name: "file", content: noise(2_000_000) })
        const source = Stream.concat(chunked(tar.subarray(0, 1_000_000), 50_000), Stream.fail("connection reset"))
        const error = yield* Effect.flip(unpacker.unpack(source, { directory, whiteouts: "overlay" }))
        assert.strictEqual(error, "connection reset")
        assert.deepStrictEqual(openBelow(directory), [])
      })
    )

    it.effect("stops reading as soon as it fails, and says which entry and why", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        const unpacker = yield* Unpacker
        const tar = tarOf(
          { name: "good" },
          { name: Buffer.from("bü").toString("latin1"), type: "1", linkname: "lost" },
          { name: "rest", content: noise(9_000_000) }
        )
        let pulled = 0
        const source = chunked(tar, 100_000).pipe(Stream.tap(() => Effect.sync(() => pulled++)))
        const error = yield* Effect.flip(unpacker.unpack(source, { directory, whiteouts: "overlay" }))
        assert.deepInclude(error, { _tag: "UnpackFailed", directory, entry: "bü", errno: 2 })
        assert.strictEqual(
          error.message,
          `cannot unpack "bü" into ${directory}: link to "lost": no such file or directory (ENOENT)`
        )
        assert.isBelow(pulled, 60)
        assert.deepStrictEqual(openBelow(directory), [])
      })
    )

    it.effect("says so when the disk is full", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        yield* Effect.acquireRelease(
          Effect.sync(() => execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", directory])),
          () => Effect.sync(() => execFileSync("umount", [directory]))
        )
        const error = yield* Effect.flip(unpackTar(directory, tarOf({ name: "big", content: noise(3_000_000) })))
        assert.match(
          error.message,
          /cannot unpack "big" into .*: write \d+ bytes at \d+: .*\(ENOSPC\): free some space/
        )
      })
    )

    it.effect("refuses a directory that is not there", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        const error = yield* Effect.flip(unpackTar(`${directory}/none`, tarOf()))
        assert.deepInclude(error, { errno: 2, operation: `open the directory ${directory}/none` })
      })
    )

    it.effect("does the same with several archives at a time", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        const unpacked = Array.from({ length: 12 }, (_, i) => i)
        yield* Effect.forEach(
          unpacked,
          (i) => {
            fs.mkdirSync(`${directory}/${i}`)
            return unpackTar(`${directory}/${i}`, tarOf({ name: "file", content: noise(500_000, i) }))
          },
          { concurrency: "unbounded" }
        )
        for (const i of unpacked) {
          assert.isTrue(fs.readFileSync(`${directory}/${i}/file`).equals(noise(500_000, i)))
        }
      })
    )
  })
})

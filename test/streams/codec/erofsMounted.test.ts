/**
 * The kernel's word on the images: everything that it shows of a mounted one is compared with the tree.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import * as fs from "node:fs"
import { isDeepStrictEqual } from "node:util"
import { mountScoped } from "../../../src/layers/kernelMount.ts"
import { MountFlag } from "../../../src/layers/native/mount.ts"
import type { OpaqueXattr } from "../../../src/services/FuseDriver.ts"
import type { LayerTree } from "../../../src/services/LayerTree.ts"
import { writeErofs } from "../../../src/streams/codec/erofs.ts"
import { noise } from "../../support/content.ts"
import { directoryIn, mountErofs, noErofsMounts, type StreamContent } from "../../support/erofsMount.ts"
import { xattrsOf } from "../../support/fileTree.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"
import { directory, entry, file, hardLink, nodesOf, symlink, treeOf } from "../../support/tocEntries.ts"
import { FileType, filesOfTree, type LayerFile, randomTree } from "../../support/treeFiles.ts"

const noData: StreamContent = { size: 0, pieces: [] }

const imageOf = (tree: LayerTree, stream: StreamContent, opaqueXattr: OpaqueXattr = "all") =>
  Result.getOrThrow(writeErofs(tree, { streamSize: stream.size, opaqueXattr }))

const mountTree = (tree: LayerTree, stream = noData, opaqueXattr: OpaqueXattr = "all") =>
  mountErofs(imageOf(tree, stream, opaqueXattr), stream)

const latin1 = (text: string) => Buffer.from(text, "latin1")

type Shown = Omit<LayerFile, "inode" | "dataOffset">

/** What lstat, readlink and getxattr say of one file. */
const shownAt = (path: string): Shown => {
  const status = fs.lstatSync(latin1(path), { bigint: true })
  const mode = Number(status.mode)
  const seconds = status.mtimeNs / 1_000_000_000n - (status.mtimeNs % 1_000_000_000n < 0n ? 1n : 0n)
  assert.strictEqual(status.ctimeNs, status.mtimeNs)
  return {
    mode,
    owner: [Number(status.uid), Number(status.gid)],
    links: Number(status.nlink),
    device: Number(status.rdev),
    mtime: [Number(seconds), Number(status.mtimeNs - seconds * 1_000_000_000n)],
    size: status.isDirectory() ? undefined : Number(status.size),
    target: status.isSymbolicLink() ? fs.readlinkSync(latin1(path), "latin1") : undefined,
    xattrs: xattrsOf(path)
  }
}

/** All paths below a directory, found by what its entries say of their types. */
const pathsBelow = (root: string): ReadonlyArray<string> => {
  const paths: Array<string> = []
  const directories = [""]
  for (const parent of directories) {
    const options = { encoding: "latin1", withFileTypes: true } as const
    for (const found of fs.readdirSync(latin1(`${root}/${parent}`), options)) {
      const path = parent === "" ? found.name : `${parent}/${found.name}`
      paths.push(path)
      if (found.isDirectory()) directories.push(path)
    }
  }
  return paths.toSorted()
}

/** Linux lets nobody read `user` attributes of what is neither file nor directory. */
const readable = (mode: number, xattrs: Record<string, string>) => {
  const type = mode & FileType.mask
  const hasUserXattrs = type === FileType.file || type === FileType.directory
  return Object.fromEntries(Object.entries(xattrs).filter(([key]) => hasUserXattrs || !key.startsWith("user.")))
}

const assertShows = (root: string, tree: LayerTree, opaqueXattr: OpaqueXattr = "all") => {
  const expected = filesOfTree(tree, opaqueXattr)
  assert.deepStrictEqual(["", ...pathsBelow(root)], [...expected.keys()].toSorted())
  const nodes = new Map<bigint, number>()
  for (const [path, { inode, dataOffset: _, ...file }] of expected) {
    const found = shownAt(`${root}/${path}`)
    const shown = { ...found, xattrs: readable(file.mode, found.xattrs) }
    const wanted = { ...file, xattrs: readable(file.mode, file.xattrs) }
    if (!isDeepStrictEqual(shown, wanted)) assert.deepStrictEqual({ path, ...shown }, { path, ...wanted })
    const { ino } = fs.lstatSync(latin1(`${root}/${path}`), { bigint: true })
    assert.strictEqual(nodes.get(ino) ?? inode, inode, "one inode number for one file")
    nodes.set(ino, inode)
  }
  assert.strictEqual(nodes.size, tree.nodeCount)
}

const xattr = (key: string, value: string) => ({ pax: [[`SCHILY.xattr.${key}`, value]] as const })

/** What the kernel accepts as access list and as capabilities: it reads both itself. */
const accessList = latin1(
  "\x02\0\0\0" +
    "\x01\0\x06\0\xff\xff\xff\xff" +
    "\x02\0\x07\0\xe8\x03\0\0" +
    "\x04\0\x04\0\xff\xff\xff\xff" +
    "\x10\0\x07\0\xff\xff\xff\xff" +
    "\x20\0\x04\0\xff\xff\xff\xff"
).toString("latin1")
const capabilities = "\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

const reason = noErofsMounts === undefined ? "" : ` (skipped: ${noErofsMounts})`

describe.skipIf(noErofsMounts !== undefined)(`writeErofs, as the kernel mounts it${reason}`, () => {
  it.live("shows an empty tree", () =>
    Effect.gen(function* () {
      assertShows(yield* mountTree(treeOf()), treeOf())
    })
  )

  it.live("shows every kind of file with all that lstat, readlink and getxattr say", () =>
    Effect.gen(function* () {
      const tree = treeOf(
        directory("./", { mode: 0o1777n, uid: 70_000, gid: 2 ** 32 - 2, ...xattr("user.root", "r") }),
        file("f", {
          mode: 0o6755n,
          modTime: "2023-11-14T22:13:20.123456789Z",
          ...xattr("security.capability", capabilities)
        }),
        file("unreadable", { mode: 0n, ...xattr("system.posix_acl_access", accessList) }),
        file("old"),
        hardLink("d/g", "f"),
        directory("d", { mode: 0o2750n, ...xattr("system.posix_acl_default", accessList) }),
        symlink("s", "d/g"),
        symlink("long", "t".repeat(4095)),
        symlink("inline", "t".repeat(448)),
        entry("c", "char", { devmajor: 4095n, devminor: 1_048_575n }),
        entry("b", "block", { devmajor: 8n, devminor: 1n }),
        entry("p", "fifo"),
        file(".wh.gone"),
        file("o/.wh..wh..opq"),
        file("\xff\xfe\n"),
        file("n".repeat(255)),
        ...["!", "-", ".,", "...", "..a"].map((name) => file(name)),
        file("big", { pax: [1, 2, 3].map((i) => [`SCHILY.xattr.user.${i}`, `${i}`.repeat(65_535)] as const) })
      )
      const old = nodesOf(tree).get("old") ?? -1
      tree.mtimeSeconds[old] = -5_000_000_000
      tree.mtimeNanoseconds[old] = 999_999_999
      for (const which of ["trusted", "user", "all"] as const) {
        assertShows(yield* mountTree(tree, noData, which), tree, which)
      }
    })
  )

  it.live("shows random trees", () =>
    Effect.gen(function* () {
      const stream = { size: 2 ** 41 - 1024, pieces: [] }
      for (let seed = 1; seed <= 40; seed++) {
        const tree = randomTree(seed)
        const show = Effect.map(mountTree(tree, stream), (root) => assertShows(root, tree))
        yield* Effect.scoped(show)
      }
    })
  )

  it.live("reads files from where they are in the stream", () =>
    Effect.gen(function* () {
      const bytes = noise(2 ** 20)
      const sizes = [1, 511, 512, 513, 4095, 4096, 4097, 100_000, 300_001]
      const files = sizes.map((size, i) => ({ name: `f${size}`, size, offset: 512 * (i * i * 19 + 1) }))
      const tree = treeOf(...files.map(({ name, ...rest }) => file(name, rest)), file("empty"))
      const root = yield* mountTree(tree, { size: bytes.length, pieces: [{ at: 0, bytes }] })
      for (const { name, size, offset } of files) {
        const wanted = Buffer.from(bytes.subarray(offset, offset + size))
        assert.isTrue(fs.readFileSync(`${root}/${name}`).equals(wanted), name)
      }
      assert.strictEqual(fs.readFileSync(`${root}/empty`).length, 0)
    })
  )

  it.live("reads a file of more than a chunk on both sides of the border", () =>
    Effect.gen(function* () {
      const chunk = 2 ** 40
      const size = chunk + 1_000_000_007
      const places = [0, chunk - 7, chunk - 7 + 4096 * 3, size - 19]
      const pieces = places.map((place, i) => ({ at: 512 + place, bytes: noise(19, i + 1) }))
      const tree = treeOf(file("large", { offset: 512, size }))
      const root = yield* mountTree(tree, { size: Math.ceil((512 + size) / 512) * 512, pieces })
      const descriptor = fs.openSync(`${root}/large`, "r")
      for (const { at, bytes } of pieces) {
        const found = new Uint8Array(100)
        const length = fs.readSync(descriptor, found, 0, found.length, at - 512)
        assert.strictEqual(length, Math.min(found.length, size - at + 512))
        assert.deepStrictEqual(found.subarray(0, bytes.length), bytes)
      }
      fs.closeSync(descriptor)
    })
  )

  it.live("finds each of 100,000 names in one directory, and no other", () =>
    Effect.gen(function* () {
      const names = Array.from({ length: 100_100 }, (_, i) => `${"n".repeat(i % 50)}${i}`)
      const tree = treeOf(...names.map((name, i) => file(`many/${name}`, { uid: i })))
      const root = yield* mountTree(tree)
      assert.isTrue(isDeepStrictEqual(fs.readdirSync(`${root}/many`).toSorted(), names.toSorted()))
      for (let i = 0; i < names.length; i += 13) {
        assert.strictEqual(fs.lstatSync(`${root}/many/${names[i]}`).uid, i)
        assert.isUndefined(fs.lstatSync(`${root}/many/${names[i]}x`, { throwIfNoEntry: false }))
      }
    })
  )

  it.live("finds a file 200 directories deep", () =>
    Effect.gen(function* () {
      const tree = treeOf(file(`${"deep/".repeat(200)}f`, { mode: 0o640n }))
      assertShows(yield* mountTree(tree), tree)
    })
  )

  for (const which of ["trusted", "user"] as const) {
    it.live(`hides what whiteouts and opaque directories hide, in an overlay that reads ${which} attributes`, () =>
      Effect.gen(function* () {
        const below = yield* temporaryDirectory
        fs.mkdirSync(`${below}/d`)
        for (const name of ["gone", "kept", "d/hidden"]) fs.writeFileSync(`${below}/${name}`, "")
        const tree = treeOf(file(".wh.gone"), file("d/.wh..wh..opq"), file("d/above"))
        const above = yield* mountTree(tree, noData, which)
        const mountPoint = yield* directoryIn(yield* temporaryDirectory, "overlay")
        yield* mountScoped({
          type: "overlay",
          fileSystem: "overlay",
          source: "overlay",
          mountPoint,
          flags: MountFlag.readOnly,
          data: `lowerdir=${above}:${below}${which === "user" ? ",userxattr" : ""}`
        })
        assert.deepStrictEqual(pathsBelow(mountPoint), ["d", "d/above", "kept"])
      })
    )
  }
})

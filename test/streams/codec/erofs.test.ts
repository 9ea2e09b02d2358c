import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { isDeepStrictEqual } from "node:util"
import type { OpaqueXattr } from "../../../src/services/FuseDriver.ts"
import type { LayerTree } from "../../../src/services/LayerTree.ts"
import { writeErofs } from "../../../src/streams/codec/erofs.ts"
import { filesOfImage } from "../../support/erofsReader.ts"
import { directory, entry, file, hardLink, nodesOf, symlink, treeOf } from "../../support/tocEntries.ts"
import { filesOfTree, randomTree } from "../../support/treeFiles.ts"

const TiB = 2 ** 40
const enough = 2 * TiB - 1024

const imageOf = (tree: LayerTree, opaqueXattr: OpaqueXattr = "all", streamSize = enough) =>
  Result.getOrThrow(writeErofs(tree, { streamSize, opaqueXattr }))

const assertHolds = (tree: LayerTree, opaqueXattr: OpaqueXattr = "all") => {
  const found = filesOfImage(imageOf(tree, opaqueXattr))
  const expected = filesOfTree(tree, opaqueXattr)
  // Node compares large maps in no time, and the other one says where they differ.
  if (!isDeepStrictEqual(found, expected)) assert.deepStrictEqual(found, expected)
}

const refusalOf = (tree: LayerTree, streamSize = enough) => {
  const written = writeErofs(tree, { streamSize, opaqueXattr: "all" })
  return Result.isFailure(written) ? `${written.failure.path}: ${written.failure.reason}` : ""
}

const nodeOf = (tree: LayerTree, path: string) => nodesOf(tree).get(path) ?? -1

const xattr = (key: string, value: string) => ({ pax: [[`SCHILY.xattr.${key}`, value]] as const })

describe("writeErofs", () => {
  it.prop("writes images that hold any tree", [Schema.Int], ([seed]) => {
    assertHolds(randomTree(seed), (["trusted", "user", "all"] as const)[Math.abs(seed) % 3])
  })

  it("writes an empty tree, also for an empty stream", () => {
    assertHolds(treeOf())
    assert.strictEqual(imageOf(treeOf(), "all", 0).length, 3 * 512)
  })

  it("holds every kind of file with all that stat says", () => {
    const tree = treeOf(
      directory("./", { mode: 0o1777n, uid: 2 ** 32 - 2, gid: 2 ** 31 }),
      file("f", { size: 5, offset: 1024, mode: 0o6755n, modTime: "2023-11-14T22:13:20.123456789Z" }),
      file("empty", { mode: 0n }),
      hardLink("g", "f"),
      symlink("s", "f"),
      entry("c", "char", { devmajor: 4095n, devminor: 1048575n }),
      entry("b", "block", { devmajor: 8n, devminor: 1n }),
      entry("p", "fifo"),
      file(".wh.gone"),
      file("d/.wh..wh..opq")
    )
    assertHolds(tree)
    const files = filesOfImage(imageOf(tree))
    assert.strictEqual(files.get("g"), files.get("f"))
    assert.deepStrictEqual(files.get("gone")?.mode, 0o020000)
  })

  it("holds times before the epoch and sockets, which no tar has", () => {
    const tree = treeOf(file("old"), file("socket"))
    tree.mtimeSeconds[nodeOf(tree, "old")] = -(2 ** 40) - 1
    tree.mtimeNanoseconds[nodeOf(tree, "old")] = 999_999_999
    assertHolds(tree)
    tree.mode[nodeOf(tree, "socket")] = 0o140755
    assert.strictEqual(refusalOf(tree), "")
  })

  it("finds data at the end of the stream, and several chunks for what is larger than one", () => {
    const last = file("last", { offset: enough - 512, size: 512 })
    assertHolds(treeOf(last, file("one", { size: TiB }), file("two", { size: TiB + 1, offset: 0 })))
  })

  it.each([7, 8, 439, 440, 447, 448, 449, 511, 512, 513, 4095])("holds a symlink of %i bytes", (length) => {
    // Others before it move it through all places of a block.
    const others = Array.from({ length: 17 }, (_, i) => symlink(`l${i}`, "x".repeat(i * 3 + 1)))
    const links = Array.from({ length: 17 }, (_, i) => symlink(`m${i}`, "y".repeat(length)))
    assertHolds(treeOf(...others, ...links))
  })

  it("sorts names by bytes around dot and dot-dot", () => {
    const names = ["!", "-", "--", ".,", ".-", "...", ".0", "..a", ".\u00ff", "\u00ff", "\u0001", ".a", "/0"]
    assertHolds(treeOf(...names.map((name) => file(name)), ...names.map((name) => file(`d/${name}`))))
  })

  it("fills the blocks of directories to their last byte", () => {
    // With 12 bytes for each entry, dot and dot-dot take 27, so that a block is full at 230.
    for (let length = 210; length < 255; length++) {
      assertHolds(treeOf(file("a".repeat(length)), file("b".repeat(231)), file("c".repeat(255))))
    }
  })

  it("holds directories of more than 100,000 entries, whose inodes have numbers of more than 16 bits", () => {
    assertHolds(treeOf(...Array.from({ length: 100_100 }, (_, i) => file(`many/${"n".repeat(i % 50)}${i}`))))
  })

  it("holds paths 200 directories deep", () => {
    assertHolds(treeOf(file(`${"deep/".repeat(200)}f`)))
  })

  it("holds extended attributes of all sizes, with the marks of opaque directories before them", () => {
    const tree = treeOf(
      file("acl", { ...xattr("system.posix_acl_access", "a") }),
      file("big", { pax: [1, 2, 3].map((i) => [`SCHILY.xattr.user.${i}`, "v".repeat(65_535)] as const) }),
      file("many", {
        size: 1,
        pax: Array.from({ length: 99 }, (_, i) => [`SCHILY.xattr.security.${i}`, "v"] as const)
      }),
      directory("d", { ...xattr("system.posix_acl_default", "b") }),
      file("d/.wh..wh..opq"),
      symlink("short", "t", { ...xattr("user.one", "v".repeat(440)) }),
      directory("own", { ...xattr("user.overlay.opaque", "x") }),
      directory("both", { ...xattr("user.overlay.opaque", "x") }),
      file("both/.wh..wh..opq")
    )
    for (const which of ["trusted", "user", "all"] as const) assertHolds(tree, which)
  })

  it("writes the volume's uuid where it is given", () => {
    const uuid = Uint8Array.from({ length: 16 }, (_, i) => i + 1)
    const image = Result.getOrThrow(writeErofs(treeOf(), { streamSize: 0, opaqueXattr: "all", uuid }))
    assert.deepStrictEqual(image.slice(1024 + 48, 1024 + 64), uuid)
  })

  it("refuses extended attributes that EROFS has no place for, and says whose", () => {
    assert.match(refusalOf(treeOf(file("d/f", { ...xattr("system.nfs4_acl", "v") }))), /^d\/f: .*system\.nfs4_acl/)
    assert.match(refusalOf(treeOf(file("f", { ...xattr("user.a", "v".repeat(65_536)) }))), /65536 bytes/)
    const pax = Array.from({ length: 4 }, (_, i) => [`SCHILY.xattr.user.${i}`, "v".repeat(65_535)] as const)
    assert.strictEqual(refusalOf(treeOf(file("f", { pax: pax.slice(1) }))), "")
    assert.match(refusalOf(treeOf(file("f", { pax }))), /^f: extended attributes of more than 262148 bytes/)
  })

  it("refuses data that are not in the stream or not at a block's beginning", () => {
    assert.match(refusalOf(treeOf(file("f", { offset: 513, size: 1 }))), /^f: .*513, which is no multiple of 512/)
    assert.match(refusalOf(treeOf(file("f", { offset: 512, size: 513 })), 1024), /^f: its data end behind/)
    assert.strictEqual(refusalOf(treeOf(file("f", { offset: 512, size: 512 })), 1024), "")
    assert.strictEqual(refusalOf(treeOf(file("f", { offset: 7, size: 0 })), 0), "")
  })

  it("refuses trees whose image would be larger than 2 GiB, before there is one", () => {
    const tree = treeOf(
      ...Array.from({ length: 12_000 }, (_, i) => file(`${i}`)),
      file("0", { pax: [1, 2, 3].map((i) => [`SCHILY.xattr.user.${i}`, "v".repeat(65_000)] as const) })
    )
    const packed = nodeOf(tree, "0")
    tree.xattrOffset.fill(tree.xattrOffset[packed] ?? 0)
    tree.xattrLength.fill(tree.xattrLength[packed] ?? 0)
    assert.match(refusalOf(tree), /^: metadata of more than 2147483648 bytes/)
  })

  it("refuses streams whose blocks have no number, modes of no file and names of no length", () => {
    assert.match(refusalOf(treeOf(), 2 * TiB), /^: a layer of 2199023255552 bytes/)
    const tree = treeOf(file("d/f"))
    tree.mode[nodeOf(tree, "d/f")] = 0o644
    assert.match(refusalOf(tree), /^d\/f: no file has the mode 644/)
    const nameless = treeOf(file("d/f"))
    nameless.nameLength[1] = 0
    assert.match(refusalOf(nameless), /^d: it holds a name of 0 bytes/)
  })
})

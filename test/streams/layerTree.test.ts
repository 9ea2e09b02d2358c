import { assert, describe, it } from "@effect/vitest"
import { noEntry } from "../../src/services/LayerTree.ts"
import { lookupChild, resolvePath, viewLayerTree } from "../../src/streams/layerTreeView.ts"
import { utf8 } from "../support/content.ts"
import {
  describeNode,
  directory,
  entry,
  file,
  hardLink,
  listing,
  nameOf,
  nodesOf,
  paths,
  refusalOf,
  symlink,
  treeOf,
  xattrsAt
} from "../support/tocEntries.ts"

describe("buildLayerTree", () => {
  it("cleans names as absolute paths and makes parents that have no entry", () => {
    const tree = treeOf(file("./a//b/../c/f", { size: 3 }), file("/../../g"))
    assert.deepStrictEqual(listing(tree), {
      a: "directory 755 0:0 links=3",
      g: "file 644 0:0 links=1 size=0",
      "a/c": "directory 755 0:0 links=2",
      "a/c/f": "file 644 0:0 links=1 size=3"
    })
    assert.strictEqual(tree.entry[nodesOf(tree).get("a") ?? -1], noEntry)
  })

  it("gives the root the attributes of its own entry, and no name", () => {
    const tree = treeOf(file("a"), directory("./", { mode: 0o1700n, uid: 5, gid: 6 }))
    assert.deepStrictEqual(paths(tree), ["a"])
    assert.strictEqual(describeNode(tree, 0), "directory 1700 5:6 links=2")
    assert.strictEqual(describeNode(treeOf(), 0), "directory 755 0:0 links=2")
    assert.strictEqual(tree.parent[0], 0)
  })

  it("lets a later directory change the attributes of an earlier one, whole, and keep what is in it", () => {
    const tree = treeOf(directory("d", { uid: 1000, mode: 0o700n }), file("d/f"), directory("d/", { uid: 0 }))
    assert.deepStrictEqual(listing(tree), {
      d: "directory 755 0:0 links=2",
      "d/f": "file 644 0:0 links=1 size=0"
    })
  })

  it("replaces files by directories and directories with all below by files", () => {
    assert.deepStrictEqual(listing(treeOf(file("a", { size: 9 }), directory("a"), file("a/x"))), {
      a: "directory 755 0:0 links=2",
      "a/x": "file 644 0:0 links=1 size=0"
    })
    const tree = treeOf(file("d/e/f"), file("d", { size: 1 }))
    assert.deepStrictEqual(listing(tree), { d: "file 644 0:0 links=1 size=1" })
    assert.strictEqual(tree.nodeCount, 2)
  })

  it("forgets what was below a directory that comes back", () => {
    assert.deepStrictEqual(paths(treeOf(file("d/old"), symlink("d", "x"), directory("d"), file("d/new"))), [
      "d",
      "d/new"
    ])
  })

  it("refuses a file as parent", () => {
    assert.include(refusalOf(file("a"), file("a/b")), '"a" is not a directory')
  })

  it("follows symbolic links of parents inside the root", () => {
    const tree = treeOf(
      directory("usr/lib"),
      symlink("lib", "usr/lib"),
      file("lib/one"),
      symlink("abs", "/usr/lib"),
      file("abs/two"),
      symlink("usr/up", "../../../lib"),
      file("usr/up/three"),
      symlink("far", "made/later"),
      file("far/four")
    )
    assert.includeMembers([...paths(tree)], ["usr/lib/one", "usr/lib/two", "usr/lib/three", "made/later/four"])
    assert.notInclude(paths(tree), "lib/one")
  })

  it("follows a link anew when it was replaced", () => {
    const tree = treeOf(
      symlink("l", "a"),
      file("l/x/f"),
      symlink("l", "b"),
      file("l/x/g"),
      symlink("b/x", "/c"),
      file("l/x/h")
    )
    assert.includeMembers([...paths(tree)], ["a/x/f", "c/h"])
    assert.notInclude(paths(tree), "a/x/g")
  })

  it("refuses symbolic links that lead in a circle", () => {
    assert.include(refusalOf(symlink("a", "b"), symlink("b", "a"), file("a/x")), "255 symbolic links")
  })

  it("gives up on a layer whose links take ages to follow", () => {
    const chain = Array.from({ length: 250 }, (_, i) => symlink(`l${i}`, `${"x/../".repeat(600)}l${i + 1}`))
    const absolute = Array.from({ length: 250 }, (_, i) => symlink(`a${i}`, `/${"./".repeat(1900)}a${i + 1}`))
    const users = Array.from({ length: 20_000 }, (_, i) => file(`${i % 2 === 0 ? "l0" : "a0"}/f${i}`))
    assert.include(refusalOf(...chain, ...absolute, ...users), "too long to follow")
  })

  it("lets hard links share a file, whichever comes first", () => {
    const tree = treeOf(hardLink("z", "d/f"), file("d/f", { size: 7 }), hardLink("a", "./d/f"), hardLink("b", "/a"))
    assert.deepStrictEqual(listing(tree), {
      a: "file 644 0:0 links=4 size=7",
      b: "file 644 0:0 links=4 size=7",
      d: "directory 755 0:0 links=2",
      z: "file 644 0:0 links=4 size=7",
      "d/f": "file 644 0:0 links=4 size=7"
    })
    assert.strictEqual(new Set(nodesOf(tree).values()).size, 3)
  })

  it("keeps a hard link when the name it was made from is replaced", () => {
    const tree = treeOf(file("f", { size: 1 }), hardLink("l", "f"), file("f", { size: 2 }))
    assert.deepStrictEqual(listing(tree), {
      f: "file 644 0:0 links=1 size=2",
      l: "file 644 0:0 links=1 size=1"
    })
  })

  it("gives a file the attributes of the last hard link to it, as an unpacker does", () => {
    const tree = treeOf(file("f", { size: 1, mode: 0o600n }), hardLink("l", "f", { mode: 0o4755n, uid: 7 }))
    assert.strictEqual(listing(tree)["f"], "file 4755 7:0 links=2 size=1")
  })

  it("links to a symbolic link itself, not to what it leads to", () => {
    const tree = treeOf(symlink("s", "f"), file("f"), hardLink("l", "s"))
    assert.strictEqual(listing(tree)["l"], "symlink 777 0:0 links=2 -> f")
  })

  it("refuses hard links to nothing, to directories and to themselves", () => {
    assert.include(refusalOf(hardLink("l", "none")), "which is not in the layer")
    assert.include(refusalOf(directory("d"), hardLink("l", "d")), "directory")
    assert.include(refusalOf(hardLink("l", "d"), directory("d")), "directory")
    assert.include(refusalOf(directory("d"), hardLink("l", "d/..")), "directory")
    assert.include(refusalOf(hardLink("l", "l")), "comes back to itself")
    assert.include(refusalOf(hardLink("a", "b"), hardLink("b", "c"), hardLink("c", "a")), "comes back to itself")
    assert.include(refusalOf(file("d/x"), hardLink("d", "d/x")), "which is not in the layer")
  })

  it("resolves a long chain of hard links written backwards", () => {
    const links = Array.from({ length: 20_000 }, (_, i) => hardLink(`l${i}`, `l${i + 1}`))
    const tree = treeOf(...links, file("l20000"))
    assert.strictEqual(tree.nodeCount, 2)
    assert.strictEqual(tree.nlink[1], 20_001)
  })

  it("turns whiteouts into character devices 0:0 of the hidden name", () => {
    const tree = treeOf(file("d/.wh.gone", { uid: 3, mode: 0o600n }))
    assert.strictEqual(listing(tree)["d/gone"], "char 0 0:0 links=1")
    assert.strictEqual(tree.rdev[nodesOf(tree).get("d/gone") ?? -1], 0)
  })

  it("prefers a real entry to a whiteout of its name, in both orders", () => {
    const real = file("f", { size: 4 })
    const line = { f: "file 644 0:0 links=1 size=4" }
    assert.deepStrictEqual(listing(treeOf(file(".wh.f"), real)), line)
    assert.deepStrictEqual(listing(treeOf(real, file(".wh.f"))), line)
    assert.deepStrictEqual(paths(treeOf(file(".wh.d"), file("d/f"))), ["d", "d/f"])
  })

  it("marks opaque directories, the root too, and drops what else aufs left", () => {
    const tree = treeOf(
      file("d/.wh..wh..opq"),
      file(".wh..wh..opq"),
      directory(".wh..wh.plnk/"),
      file(".wh..wh.plnk/1.2"),
      file("d/.wh..wh.aufs"),
      file(".wh.")
    )
    assert.deepStrictEqual(listing(tree), { d: "directory 755 0:0 links=2 opaque" })
    assert.strictEqual(tree.opaque[0], 1)
  })

  it("never makes a name that is a dot or two", () => {
    assert.deepStrictEqual(paths(treeOf(file(".wh.."), file(".wh..."), file("d/.wh.."))), ["d"])
  })

  it("takes the type from the type and the permissions from the mode", () => {
    const tree = treeOf(
      entry("c", "char", { devmajor: 1n, devminor: 3n, mode: 0o100666n, size: 9 }),
      entry("b", "block", { devmajor: 0xabcn, devminor: 0x12345n }),
      entry("p", "fifo"),
      { ...file("odd", { mode: 0o107777n, size: 2 }), type: "gnu-what" }
    )
    assert.deepStrictEqual(listing(tree), {
      b: "block 644 0:0 links=1",
      c: "char 666 0:0 links=1",
      odd: "file 7777 0:0 links=1 size=2",
      p: "fifo 644 0:0 links=1"
    })
    const nodes = nodesOf(tree)
    assert.strictEqual(tree.rdev[nodes.get("c") ?? -1], 0x103)
    assert.strictEqual(tree.rdev[nodes.get("b") ?? -1], 0x123abc45)
    assert.strictEqual(tree.size[nodes.get("c") ?? -1], 0)
  })

  it("keeps extended attributes of PAX records, but none of the trusted namespace", () => {
    const pax = [
      ["SCHILY.xattr.security.capability", "\x01\0\0\x02"],
      ["SCHILY.xattr.trusted.overlay.opaque", "y"],
      ["SCHILY.xattr.user.b", ""],
      ["comment", "x"]
    ] as const
    const later = [["SCHILY.xattr.user.b", "\xff"]] as const
    const tree = treeOf(directory("d", { pax }), directory("d", { pax: later }), file("f"))
    assert.deepStrictEqual(xattrsAt(tree, nodesOf(tree).get("d") ?? -1), {
      "security.capability": "\x01\0\0\x02",
      "user.b": "\xff"
    })
    assert.deepStrictEqual(xattrsAt(tree, nodesOf(tree).get("f") ?? -1), {})
  })

  it("refuses extended attributes that no file can have", () => {
    assert.notStrictEqual(refusalOf(file("f", { pax: [[`SCHILY.xattr.user.${"k".repeat(251)}`, ""]] })), "")
    assert.notStrictEqual(refusalOf(file("f", { pax: [["SCHILY.xattr.user.k", "v".repeat(65_537)]] })), "")
  })

  it("refuses names that no file can have", () => {
    assert.strictEqual(refusalOf(file("a".repeat(255))), "")
    assert.include(refusalOf(file("a".repeat(256))), "256 bytes")
    assert.include(refusalOf(file(`${"a".repeat(256)}/b`)), "256 bytes")
    assert.include(refusalOf(file("a\0b")), "NUL")
    assert.include(refusalOf(file("a/".repeat(2049))), "4098 bytes")
    assert.include(refusalOf(symlink("s", "x".repeat(4096))), "4096 bytes")
    assert.include(refusalOf(symlink("s", "")), "nothing")
    assert.include(refusalOf(symlink("s", "a\0b")), "NUL")
  })

  it("refuses a path that symbolic links make too long", () => {
    const links = Array.from({ length: 20 }, (_, i) => symlink(`l${i}`, `${`${"d".repeat(250)}/`.repeat(4)}l${i + 1}`))
    const inner = links.map((link, i) => ({ ...link, name: `${`${"d".repeat(250)}/`.repeat(4 * i)}l${i}` }))
    assert.include(refusalOf(...inner.slice(0, 4), file("l0/x/y")), "")
    assert.include(refusalOf(...links, file(`l0/${"e/".repeat(2000)}f`)), "4096 bytes")
  })

  it("keeps names byte for byte and sorts them by bytes", () => {
    const tree = treeOf(file("\xff"), file("a\x01"), file("b"), file("a"), file("B"), file("\x80"))
    const names = Array.from({ length: tree.direntCount }, (_, dirent) => nameOf(tree, dirent))
    assert.deepStrictEqual(names, ["B", "a", "a\x01", "b", "\x80", "\xff"])
  })

  it("numbers nodes breadth first by name, whatever the order of the archive", () => {
    const entries = [file("b/y"), file("a/x"), directory("c"), file("a/w")]
    const numbers = { "": 0, a: 1, b: 2, c: 3, "a/w": 4, "a/x": 5, "b/y": 6 }
    assert.deepStrictEqual(Object.fromEntries(nodesOf(treeOf(...entries))), numbers)
    assert.deepStrictEqual(Object.fromEntries(nodesOf(treeOf(...entries.toReversed()))), numbers)
  })

  it("counts the subdirectories in the links of a directory and knows its parent", () => {
    const tree = treeOf(directory("a/b"), directory("a/c"), file("a/f"), directory("a/b"))
    const nodes = nodesOf(tree)
    assert.strictEqual(listing(tree)["a"], "directory 755 0:0 links=4")
    assert.strictEqual(tree.parent[nodes.get("a/b") ?? -1], nodes.get("a"))
    assert.strictEqual(tree.parent[nodes.get("a") ?? -1], 0)
  })

  it("needs less than 200 bytes for each entry beside its name", () => {
    const entries = Array.from({ length: 10_000 }, (_, i) => file(`usr/share/package-${i % 100}/file-${i}`))
    const tree = treeOf(...entries)
    assert.isBelow(tree.buffer.byteLength / entries.length, 120)
  })
})

describe("viewLayerTree", () => {
  it("shows the same tree from the buffer alone", () => {
    const tree = treeOf(file("d/f", { size: 5 }), symlink("s", "d"))
    assert.deepStrictEqual(listing(viewLayerTree(tree.buffer)), listing(tree))
  })
})

describe("lookupChild", () => {
  it("finds each name in its directory and no other", () => {
    const names = Array.from({ length: 300 }, (_, i) => `n${(i * 7919) % 1000}`)
    const tree = treeOf(...names.map((name) => file(`d/${name}`)), file("n1/other"))
    const nodes = nodesOf(tree)
    const parent = nodes.get("d") ?? -1
    for (const name of names) assert.strictEqual(lookupChild(tree, parent, utf8(name)), nodes.get(`d/${name}`))
    for (const name of ["", "n", "n1000", "other", "z", "\0"]) {
      assert.strictEqual(lookupChild(tree, parent, utf8(name)), -1)
    }
    assert.strictEqual(lookupChild(tree, nodes.get("n1/other") ?? -1, utf8("x")), -1)
  })
})

describe("resolvePath", () => {
  const tree = treeOf(file("usr/lib/f"), symlink("lib", "usr/lib"), symlink("up", "../../lib/."), symlink("o", "o"))
  const nodes = nodesOf(tree)
  const found = (path: string) => resolvePath(tree, path)

  it("cleans paths and stays in the root", () => {
    for (const path of ["usr/lib/f", "/usr//lib/./f", "../usr/lib/../lib/f"]) {
      assert.strictEqual(found(path), nodes.get("usr/lib/f"))
    }
    assert.strictEqual(found(""), 0)
    assert.strictEqual(found("/.."), 0)
  })

  it("follows links on the way but not at the end", () => {
    assert.strictEqual(found("lib/f"), nodes.get("usr/lib/f"))
    assert.strictEqual(found("up/f"), nodes.get("usr/lib/f"))
    assert.strictEqual(found("lib"), nodes.get("lib"))
    assert.strictEqual(found("lib/../lib/f"), nodes.get("usr/lib/f"))
  })

  it("finds nothing behind files, circles and names that are not there", () => {
    for (const path of ["usr/lib/f/x", "o/x", "none", "usr/none/f"]) assert.strictEqual(found(path), -1)
  })
})

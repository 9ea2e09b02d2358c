import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import type { LayerTree } from "../../src/services/LayerTree.ts"
import { buildLayerTree } from "../../src/streams/layerTree.ts"
import { lookupChild, resolvePath } from "../../src/streams/layerTreeView.ts"
import { randomEntries } from "../support/randomEntries.ts"
import { entry, nameOf, nodesOf } from "../support/tocEntries.ts"

const directoryType = 0o040000
const isDirectory = (tree: LayerTree, node: number) => ((tree.mode[node] ?? 0) & 0o170000) === directoryType

/** What is true of every tree, whatever it was made of. */
const checkTree = (tree: LayerTree): void => {
  const names = new Uint32Array(tree.nodeCount)
  const subdirectories = new Uint32Array(tree.nodeCount)
  let dirents = 0
  for (let node = 0; node < tree.nodeCount; node++) {
    const first = tree.firstDirent[node] ?? 0
    const length = tree.direntLength[node] ?? 0
    if (!isDirectory(tree, node)) assert.strictEqual(length, 0)
    let previous = ""
    for (let dirent = first; dirent < first + length; dirent++, dirents++) {
      const name = nameOf(tree, dirent)
      assert.isTrue(previous < name, "names ascend and are unique")
      assert.notMatch(name, /^\.{0,2}$|[/\0]/)
      assert.isAtMost(name.length, 255)
      previous = name
      const child = tree.direntNode[dirent] ?? -1
      assert.strictEqual(lookupChild(tree, node, Buffer.from(name, "latin1")), child)
      names[child] = (names[child] ?? 0) + 1
      if (!isDirectory(tree, child)) continue
      assert.strictEqual(tree.parent[child], node)
      subdirectories[node] = (subdirectories[node] ?? 0) + 1
    }
  }
  assert.strictEqual(dirents, tree.direntCount)
  for (let node = 0; node < tree.nodeCount; node++) {
    const links = isDirectory(tree, node) ? 2 + (subdirectories[node] ?? 0) : names[node]
    assert.strictEqual(tree.nlink[node], links)
    if (node > 0) assert.isAbove(names[node] ?? 0, 0, "each node can be reached")
    if (isDirectory(tree, node)) assert.strictEqual(names[node], node === 0 ? 0 : 1)
  }
  for (const [path, node] of nodesOf(tree)) {
    assert.strictEqual(resolvePath(tree, Buffer.from(path, "latin1")), node)
  }
}

/** Texts of the pieces that paths are made of. */
const HostilePath = Schema.Array(
  Schema.Literals(["a", "b", "/", "/", "..", ".", ".wh.", ".wh..wh..opq", ".wh..wh.x", "\0", "\xff", "c".repeat(200)])
).pipe(Schema.check(Schema.isMaxLength(8)))

const HostileEntry = Schema.Tuple([
  HostilePath,
  Schema.Literals(["reg", "dir", "symlink", "hardlink", "char", "block", "fifo"]),
  HostilePath
])

describe("buildLayerTree, whatever the entries", () => {
  it.effect.prop("gives a tree that holds together, or refuses", [Schema.Array(HostileEntry)], ([specified]) =>
    Effect.sync(() => {
      const entries = specified.map(([name, type, linkname]) =>
        entry(name.join(""), type, { linkname: linkname.join("") })
      )
      const built = buildLayerTree(entries)
      if (Result.isSuccess(built)) checkTree(built.success)
    })
  )

  it("gives a tree that holds together for tables like real ones", () => {
    let built = 0
    for (let seed = 1; seed <= 500; seed++) {
      const result = buildLayerTree(randomEntries(seed))
      if (Result.isFailure(result)) continue
      checkTree(result.success)
      built++
    }
    assert.isAbove(built, 125)
  })
})

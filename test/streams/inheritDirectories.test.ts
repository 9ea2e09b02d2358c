import { assert, describe, it } from "@effect/vitest"
import type { LayerTree } from "../../src/services/LayerTree.ts"
import { inheritDirectories } from "../../src/streams/inheritDirectories.ts"
import { resolvePath } from "../../src/streams/layerTreeView.ts"
import { xattrsOfNode } from "../../src/streams/nodeXattrs.ts"
import { directory, file, symlink, treeOf } from "../support/tocEntries.ts"

const attributes = (tree: LayerTree | undefined, path: string) => {
  if (tree === undefined) return assert.fail()
  const node = resolvePath(tree, path)
  return {
    mode: (tree.mode[node] ?? 0) & 0o7777,
    uid: tree.uid[node],
    seconds: tree.mtimeSeconds[node],
    xattrs: [...xattrsOfNode(tree, node)].map(({ key, value }) => [
      Buffer.from(key).toString(),
      Buffer.from(value).toString()
    ])
  }
}

const below = treeOf(
  directory("./", { mode: 0o700n, uid: 5 }),
  directory("tmp/", { mode: 0o1777n, uid: 7, pax: [["SCHILY.xattr.user.a", "x"]], modTime: "1970-01-01T00:00:09Z" }),
  directory("gone/", { mode: 0o711n }),
  directory("opaque/", { mode: 0o711n }),
  directory("opaque/below/", { mode: 0o711n }),
  file("replaced", { mode: 0o600n }),
  symlink("link", "tmp")
)

const implied = { mode: 0o755, uid: 0, seconds: 0, xattrs: [] }

describe("a directory that a layer only implies", () => {
  it("has the attributes of the layer below, the root too", () => {
    const [, above] = inheritDirectories([below, treeOf(file("tmp/x"))])
    assert.deepStrictEqual(attributes(above, "tmp"), { mode: 0o1777, uid: 7, seconds: 9, xattrs: [["user.a", "x"]] })
    assert.deepInclude(attributes(above, ""), { mode: 0o700, uid: 5 })
  })

  it("looks through layers that imply it as well", () => {
    const [, , top] = inheritDirectories([below, treeOf(file("tmp/x")), treeOf(file("tmp/y"))])
    assert.deepInclude(attributes(top, "tmp"), { mode: 0o1777, uid: 7 })
  })

  it("has those of the topmost layer that says something", () => {
    const middle = treeOf(directory("tmp/", { mode: 0o750n }))
    const [, , top] = inheritDirectories([below, middle, treeOf(file("tmp/y"))])
    assert.deepInclude(attributes(top, "tmp"), { mode: 0o750, xattrs: [] })
  })

  it("has nothing of what a layer between has removed, hidden or replaced", () => {
    const between = treeOf(file(".wh.gone"), directory("opaque/"), file("opaque/.wh..wh..opq"), directory("replaced/"))
    const [, , top] = inheritDirectories([
      below,
      between,
      treeOf(file("gone/x"), file("opaque/below/x"), file("replaced/x"), file("link/x"))
    ])
    assert.deepStrictEqual(attributes(top, "gone"), implied)
    assert.deepStrictEqual(attributes(top, "opaque/below"), implied)
    assert.deepInclude(attributes(top, "opaque"), { mode: 0o755 })
    assert.deepStrictEqual(attributes(top, "link"), implied)
  })
})

describe("a directory that a layer names", () => {
  it("keeps its own attributes, and a tree that implies nothing is the same tree", () => {
    const above = treeOf(directory("./"), directory("tmp/", { mode: 0o700n }))
    const [, stacked] = inheritDirectories([below, above])
    assert.strictEqual(stacked, above)
  })
})

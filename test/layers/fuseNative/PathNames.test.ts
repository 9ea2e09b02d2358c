import { assert, describe, it } from "@effect/vitest"
import { PathNames } from "../../../src/layers/fuseNative/PathNames.ts"
import { directory, file, nodesOf, treeOf } from "../../support/tocEntries.ts"

const namesOf = (names: PathNames, path: string) => names.list(names.find(path)).map(([name]) => name)

describe("PathNames", () => {
  it("finds a node by its path, and ENOENT for every other", () => {
    const tree = treeOf(directory("d"), file("d/\xc3\xa4"), file("f"))
    const names = new PathNames(tree)
    const nodes = nodesOf(tree)
    assert.strictEqual(names.find("/"), 0)
    assert.strictEqual(names.find("/f"), nodes.get("f"))
    assert.strictEqual(names.find("/d"), nodes.get("d"))
    assert.deepStrictEqual(namesOf(names, "/d"), ["ä"])
    assert.notStrictEqual(names.find("/d/ä"), -2)
    assert.deepStrictEqual(
      ["/x", "/f/x", "/d/", "/d/x/y"].map((path) => names.find(path) === -2),
      [true, true, false, true]
    )
    assert.strictEqual(names.oddNames, 0)
  })

  it("shows a name that is no UTF-8 by its text, beside those that are", () => {
    const tree = treeOf(file("caf\xe9"), file("plain"), directory("d"), file("d/x"))
    const names = new PathNames(tree)
    assert.deepStrictEqual(namesOf(names, "/").toSorted(), ["caf\ufffd", "d", "plain"])
    assert.strictEqual(names.find("/caf\ufffd"), nodesOf(tree).get("caf\xe9"))
    assert.strictEqual(names.find("/plain"), nodesOf(tree).get("plain"))
    assert.strictEqual(names.find("/d/x"), nodesOf(tree).get("d/x"))
    assert.strictEqual(names.oddNames, 1)
  })

  it("shows neither of two names that have one text, so that nobody gets the other's bytes", () => {
    const names = new PathNames(treeOf(file("a\xe9"), file("a\xff"), file("b")))
    assert.deepStrictEqual(namesOf(names, "/"), ["b"])
    assert.strictEqual(names.find("/a\ufffd"), -2)
    assert.strictEqual(names.oddNames, 2)
  })
})

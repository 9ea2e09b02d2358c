import { assert, describe, it } from "@effect/vitest"
import { suggest } from "../../../src/main/cli/suggestion.ts"

describe("suggest", () => {
  const known = ["index", "ztoc", "create", "convert", "push"]

  it("finds the word with the fewest edits", () => {
    assert.deepStrictEqual(suggest("indxe", known), ["index"])
    assert.deepStrictEqual(suggest("pus", known), ["push"])
  })

  it("names all words that are equally near", () => assert.deepStrictEqual(suggest("b", ["a", "c"]), ["a", "c"]))
  it("does not guess", () => assert.deepStrictEqual(suggest("rebuild", known), []))
})

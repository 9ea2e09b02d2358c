import { assert, describe, it } from "@effect/vitest"
import type { EntryType } from "../../src/services/Ztoc.ts"
import { followSymlink } from "../../src/streams/followSymlink.ts"
import { entry as entryOf } from "../support/tocEntries.ts"

const entry = (name: string, type: EntryType, linkname = "") => entryOf(name, type, { linkname })

const entries = [
  entry("etc/", "dir"),
  entry("etc/hosts", "reg"),
  entry("etc/near", "symlink", "hosts"),
  entry("up", "symlink", "etc/../../../etc/near"),
  entry("absolute", "symlink", "/etc/hosts"),
  entry("directory", "symlink", "etc/"),
  entry("hard", "hardlink", "etc/hosts"),
  entry("elsewhere", "symlink", "usr/share"),
  entry("ping", "symlink", "pong"),
  entry("pong", "symlink", "ping"),
  entry("./dotted/file", "reg"),
  entry("./dotted/link", "symlink", "file")
]

describe("followSymlink", () => {
  for (const [name, target] of [
    ["etc/near", "etc/hosts"],
    ["up", "etc/hosts"],
    ["absolute", "etc/hosts"],
    ["directory", "etc/"],
    ["./dotted/link", "./dotted/file"],
    ["hard", "hard"],
    ["elsewhere", "elsewhere"],
    ["absent", "absent"]
  ] as const) {
    it(`leads from ${name} to ${target}`, () => {
      assert.strictEqual(followSymlink(entries, name), target)
    })
  }

  it("ends where links go in circles", () => {
    assert.include(["ping", "pong"], followSymlink(entries, "ping"))
  })
})

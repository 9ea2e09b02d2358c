import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as UnpackerDirectory from "../../../src/layers/UnpackerDirectory.ts"
import { fileTree } from "../../support/fileTree.ts"
import { type TarMember, tarOf } from "../../support/tarArchive.ts"
import { isRoot, unpackTar, unpackTarget } from "../../support/unpackTar.ts"

const directoryOf = (name: string): TarMember => ({ name, type: "5" })
const opaque = { "trusted.overlay.opaque": "y" }

const described = (mode: number, note: string) => ({
  ...directoryOf("a"),
  mode,
  pax: { [`SCHILY.xattr.user.${note}`]: "1" }
})

describe.skipIf(!isRoot)("Whiteouts (need root: they are devices and trusted attributes)", () => {
  layer(UnpackerDirectory.layer, { excludeTestServices: true })("as overlayfs reads them", (it) => {
    it.effect("are devices 0:0 with the owner of their header, and marks of opaque directories", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        yield* unpackTar(
          directory,
          tarOf(
            directoryOf("a"),
            { name: "a/.wh.gone", uid: 3, gid: 4 },
            { name: "b/.wh..wh..opq" },
            { name: "c/.wh.no/parent" }
          )
        )
        const tree = fileTree(directory)
        assert.deepInclude(tree["a/gone"], { type: "char", device: "0:0", mode: "0", owner: "3:4" })
        assert.deepStrictEqual(tree["b"]?.xattrs, opaque)
        assert.deepStrictEqual(Object.keys(tree), ["a", "a/gone", "b", "c", "c/.wh.no", "c/.wh.no/parent"])
      })
    )

    it.effect("carry the user's mark where overlayfs is mounted with userxattr", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        yield* unpackTar(directory, tarOf({ name: "a/.wh..wh..opq" }), "overlay-userxattr")
        assert.deepStrictEqual(fileTree(directory)["a"]?.xattrs, { "user.overlay.opaque": "y" })
      })
    )

    it.effect("hide the lower directory from one of the same name, whichever comes first", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        yield* unpackTar(
          directory,
          tarOf(
            { name: ".wh.before" },
            directoryOf("before"),
            { name: "before/new" },
            directoryOf("after"),
            { name: "after/new" },
            { name: ".wh.after" },
            { name: ".wh.implied" },
            { name: "implied/new" }
          )
        )
        const tree = fileTree(directory)
        for (const name of ["before", "after", "implied"]) {
          assert.deepInclude(tree[name], { type: "directory", mode: "755", xattrs: opaque })
          assert.strictEqual(tree[`${name}/new`]?.type, "file")
        }
      })
    )

    it.effect("leave a file of the same layer alone: it hides the lower one by itself", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        yield* unpackTar(
          directory,
          tarOf(
            { name: "a", content: "new" },
            { name: ".wh.a" },
            { name: ".wh.b" },
            { name: ".wh.b" },
            { name: "b", content: "new" }
          )
        )
        assert.deepStrictEqual(
          Object.values(fileTree(directory)).map(({ type, size }) => `${type} ${size}`),
          ["file 3", "file 3"]
        )
      })
    )

    it.effect("cannot be forged by extended attributes of an archive", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        const pax = {
          "SCHILY.xattr.trusted.overlay.opaque": "y",
          "SCHILY.xattr.trusted.overlay.redirect": "/etc",
          "SCHILY.xattr.user.overlay.opaque": "y"
        }
        const tar = tarOf({ ...directoryOf("a"), pax }, { name: "f", pax })
        yield* unpackTar(directory, tar, "overlay-userxattr")
        const tree = fileTree(directory)
        assert.deepStrictEqual([tree["a"]?.xattrs, tree["f"]?.xattrs], [{}, {}])
      })
    )

    it.effect("refuse names that stand for no file of their directory", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        for (const name of ["a/.wh.", "a/.wh..", "a/.wh...", ".wh..", "../.wh..."]) {
          const error = yield* Effect.flip(unpackTar(directory, tarOf({ name })))
          assert.match(error.message, /the layer is invalid/)
        }
      })
    )
  })

  layer(UnpackerDirectory.layer, { excludeTestServices: true })("applied to one root", (it) => {
    const base = tarOf(
      directoryOf("kept"),
      { name: "kept/old" },
      { name: "kept/sub/old" },
      { name: "kept/sub/deep/old" },
      { name: "gone/a/b/c" },
      { name: "file" },
      { name: "link", type: "2", linkname: "kept" }
    )

    it.effect("remove what they name, with all that is below it", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        yield* unpackTar(directory, base, "apply")
        yield* unpackTar(
          directory,
          tarOf({ name: ".wh.gone" }, { name: ".wh.file" }, { name: ".wh.never" }, { name: ".wh.link" }),
          "apply"
        )
        const left = Object.keys(fileTree(directory))
        assert.deepStrictEqual(left, [
          "kept",
          "kept/old",
          "kept/sub",
          "kept/sub/deep",
          "kept/sub/deep/old",
          "kept/sub/old"
        ])
      })
    )

    it.effect("clear an opaque directory of what earlier layers put there, and of nothing else", () =>
      Effect.gen(function* () {
        for (const marker of ["first", "last"]) {
          const { directory } = yield* unpackTarget
          yield* unpackTar(directory, base, "apply")
          const opaqueMarker = { name: "kept/.wh..wh..opq" }
          const news = [{ name: "kept/new" }, { name: "link/sub/new" }, { name: "kept/sub/deep/new" }]
          yield* unpackTar(
            directory,
            marker === "first" ? tarOf(opaqueMarker, ...news) : tarOf(...news, opaqueMarker),
            "apply"
          )
          const left = Object.keys(fileTree(directory)).filter((path) => path.startsWith("kept/"))
          assert.deepStrictEqual(left, ["kept/new", "kept/sub", "kept/sub/deep", "kept/sub/deep/new", "kept/sub/new"])
        }
      })
    )

    it.effect("spare what their own layer has put under the name", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        yield* unpackTar(directory, base, "apply")
        const layer = tarOf(
          { name: "file", content: "new" },
          { name: ".wh.file" },
          { name: "gone/a/new" },
          { name: ".wh.gone" }
        )
        yield* unpackTar(directory, layer, "apply")
        const left = Object.keys(fileTree(directory)).filter((path) => !path.startsWith("kept"))
        assert.deepStrictEqual(left, ["file", "gone", "gone/a", "gone/a/new", "link"])
      })
    )

    it.effect("leave no trace of an earlier layer's attributes on a directory that is described again", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        yield* unpackTar(directory, tarOf(described(0o777, "old")), "apply")
        yield* unpackTar(directory, tarOf({ name: "a/x" }, described(0o700, "new")), "apply")
        assert.deepInclude(fileTree(directory)["a"], { mode: "700", xattrs: { "user.new": "1" } })
      })
    )
  })
})

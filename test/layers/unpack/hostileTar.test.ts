import { assert, describe, layer } from "@effect/vitest"
import { Effect, Exit } from "effect"
import * as fs from "node:fs"
import * as UnpackerDirectory from "../../../src/layers/UnpackerDirectory.ts"
import type { WhiteoutForm } from "../../../src/services/Unpacker.ts"
import { fileTree } from "../../support/fileTree.ts"
import { type TarMember, tarOf } from "../../support/tarArchive.ts"
import { isRoot, openBelow, unpackTar, unpackTarget } from "../../support/unpackTar.ts"

const link = (name: string, linkname: string): TarMember => ({ name, type: "2", linkname, mode: 0o777, uid: 99 })
const hardLink = (name: string, linkname: string): TarMember => ({ name, type: "1", linkname, mode: 0o777, uid: 99 })
const directoryOf = (name: string): TarMember => ({ name, type: "5", mode: 0o777, uid: 99 })
const file = (name: string): TarMember => ({ name, content: "pwned", mode: 0o777, uid: 99 })

/** Each gets the path of a directory outside, which holds `secret` and `full/inside`. */
const attacks: Readonly<Record<string, (outside: string) => ReadonlyArray<TarMember>>> = {
  "an absolute name": (outside) => [file(`${outside}/secret`), file(`${outside}/new`)],
  "a name that goes up": () => [file("../secret"), file("a/b/../../../../../secret"), directoryOf("..")],
  "a file through an absolute link": (outside) => [link("l", outside), file("l/secret"), file("l/new")],
  "a file through a link that goes up": () => [
    link("l", "../../../.."),
    file("l/secret"),
    link("m", ".."),
    file("m/secret")
  ],
  "a file through a chain of links": (outside) => [
    link("a", "b"),
    link("b", "c/../.."),
    link("c", outside),
    file("a/secret"),
    file("c/x")
  ],
  "a directory swapped for a link": (outside) => [
    directoryOf("d/e"),
    file("d/e/x"),
    link("d", outside),
    file("d/e/x"),
    file("d/secret")
  ],
  "a directory swapped for a link and back": (outside) => [
    directoryOf("full"),
    file("full/x"),
    link("full", outside),
    directoryOf("full"),
    file("full/inside")
  ],
  "a file written to a link": (outside) => [link("f", `${outside}/secret`), file("f")],
  "a directory over a link to one": (outside) => [link("d", `${outside}/full`), directoryOf("d")],
  "a hard link to the outside": () => [hardLink("h", "../secret")],
  "a hard link to an absolute path": (outside) => [hardLink("h", `${outside}/secret`), file("h")],
  "a hard link through a link": (outside) => [link("l", outside), hardLink("h", "l/secret")],
  "attributes through a hard link to a link": (outside) => [
    link("s", `${outside}/secret`),
    hardLink("h", "s"),
    file("h")
  ],
  "attributes of a directory through a hard link to a link": (outside) => [
    link("s", `${outside}/full`),
    hardLink("h", "s")
  ],
  "a whiteout that goes up": () => [file("../.wh.secret"), file(".wh..."), file("..wh./../.wh.full")],
  "a whiteout through a link": (outside) => [link("l", outside), file("l/.wh.secret"), file("l/.wh.full")],
  "an opaque mark through a link": (outside) => [link("l", `${outside}/full`), file("l/.wh..wh..opq")],
  "a whiteout of a link to a directory": (outside) => [link("l", `${outside}/full`), file(".wh.l")],
  "an opaque directory with a link to another": (outside) => [link("d/l", `${outside}/full`), file("d/.wh..wh..opq")],
  "links into proc": () => [
    link("p", "/proc/self/root"),
    file("p/tmp/effect-soci-pwned"),
    link("q", "/proc/self/cwd"),
    file("q/x")
  ],
  "a device that is written to": () => [{ name: "n", type: "3", device: [1, 3] }, file("n"), hardLink("m", "n")],
  "a fifo that is opened": () => [{ name: "n", type: "6" }, file("n"), directoryOf("n")],
  "a root that is no directory": (outside) => [link(".", outside), file("/"), file("x"), hardLink("..", "x")]
}

const prepare = Effect.map(unpackTarget, (target) => {
  fs.writeFileSync(`${target.outside}/secret`, "secret", { mode: 0o600 })
  fs.mkdirSync(`${target.outside}/full`, { mode: 0o700 })
  fs.writeFileSync(`${target.outside}/full/inside`, "inside")
  return target
})

/** All that is outside of the root. */
const outsideOf = (outside: string) => {
  const all = Object.entries(fileTree(outside))
  return Object.fromEntries(all.filter(([path]) => path !== "root" && !path.startsWith("root/")))
}

/** Fails, with this message and nothing left open. */
const refuses = (message: RegExp, tar: Uint8Array, form: WhiteoutForm = "overlay") =>
  Effect.gen(function* () {
    const { directory } = yield* unpackTarget
    const error = yield* Effect.flip(unpackTar(directory, tar, form))
    assert.match(error.message, message)
    assert.deepStrictEqual(openBelow(directory), [])
  })

/** As many links, each to the next, and a file at their end. */
const chain = (length: number) => [
  ...Array.from({ length }, (_, i) => link(`l${i}`, `l${i + 1}`)),
  directoryOf(`l${length}`),
  file("l0/x")
]

const sparse = (map: string, size: string) => ({
  name: "s",
  content: "abcde",
  pax: {
    "GNU.sparse.major": "0",
    "GNU.sparse.minor": "1",
    "GNU.sparse.map": map,
    "GNU.sparse.numblocks": String(map.split(",").length / 2),
    "GNU.sparse.size": size
  }
})

describe.skipIf(!isRoot)("A hostile tar (needs root, whom nothing else would stop)", () => {
  for (const form of ["overlay", "apply"] as const) {
    layer(UnpackerDirectory.layer, { excludeTestServices: true })(`in the form for ${form}`, (it) => {
      for (const [name, members] of Object.entries(attacks)) {
        it.effect(`changes nothing outside by ${name}`, () =>
          Effect.gen(function* () {
            const { outside, directory } = yield* prepare
            const before = outsideOf(outside)
            const tar = tarOf(...members(outside))
            const exit = yield* Effect.exit(unpackTar(directory, tar, form))
            assert.isFalse(Exit.hasDies(exit))
            assert.deepStrictEqual(outsideOf(outside), before)
            assert.isFalse(fs.existsSync("/tmp/effect-soci-pwned"))
            assert.deepStrictEqual(openBelow(directory), [])
          })
        )
      }
    })
  }

  layer(UnpackerDirectory.layer, { excludeTestServices: true })("is refused", (it) => {
    it.effect("when links go in circles", () =>
      refuses(/follow links in "a": too many of them/, tarOf(link("a", "b"), link("b", "a"), file("a/x")))
    )

    it.effect("when links never come to an end, but not for as many as containerd follows", () =>
      Effect.gen(function* () {
        const { directory } = yield* unpackTarget
        yield* unpackTar(directory, tarOf(...chain(255)))
        assert.isTrue(fs.existsSync(`${directory}/l255/x`))
        yield* refuses(/too many of them/, tarOf(...chain(256)))
      })
    )

    it.effect("when a file stands where a directory is needed", () =>
      refuses(/go through "a": not a directory/, tarOf(file("a"), file("a/x")))
    )

    it.effect("when names are longer than any file system allows", () =>
      Effect.gen(function* () {
        yield* refuses(/ENAMETOOLONG/, tarOf(file("n".repeat(256))))
        yield* refuses(/ENAMETOOLONG/, tarOf(file("n/".repeat(5000) + "x")))
        yield* refuses(/ENAMETOOLONG/, tarOf(link("l", "n".repeat(5000))))
      })
    )

    it.effect("when a hard link has no target in the layer", () =>
      Effect.gen(function* () {
        yield* refuses(/link to "later": no such file/, tarOf(hardLink("h", "later"), file("later")))
        yield* refuses(/link to "\.\.": no such file/, tarOf(hardLink("h", "..")))
        yield* refuses(/link to "d": operation not permitted/, tarOf(directoryOf("d"), hardLink("h", "d")))
      })
    )

    it.effect("when it ends before its last file does", () => {
      const tar = tarOf({ name: "big", content: "x".repeat(5000) })
      return refuses(/cannot unpack "big" into .*: read the tar: unexpected EOF at byte 3000/, tar.subarray(0, 3000))
    })

    it.effect("when the map of a sparse file and its data contradict each other, or no file could be so long", () =>
      Effect.gen(function* () {
        yield* refuses(/more data than the map/, tarOf(sparse("0,2,4,2", "100")))
        yield* refuses(/fewer data than/, tarOf(sparse("0,2,4,4", "100")))
        yield* refuses(/EFBIG|invalid tar header/, tarOf(sparse("0,5,9007199254740991,0", "9007199254740991")))
      })
    )

    it.effect("when an entry has a type that nobody knows", () =>
      refuses(/unknown type "V"/, tarOf({ name: "volume", type: "V" }))
    )
  })
})

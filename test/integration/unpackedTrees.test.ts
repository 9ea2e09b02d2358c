import { assert, describe, layer } from "@effect/vitest"
import { Effect, Result } from "effect"
import * as path from "node:path"
import { gunzipSync } from "node:zlib"
import * as UnpackerDirectory from "../../src/layers/UnpackerDirectory.ts"
import type { WhiteoutForm } from "../../src/services/Unpacker.ts"
import { type FileFacts, fileTree } from "../support/fileTree.ts"
import { containerdUnpack, type ForeignUnpack, hasContainerd, hasUmoci, umociUnpack } from "../support/foreignUnpack.ts"
import { tarOf } from "../support/tarArchive.ts"
import { isRoot, unpackTar, unpackTarget } from "../support/unpackTar.ts"
import { readVector, vectorJobs } from "../support/ztocVectors.ts"

/** Larger ones are about gzip, not about tar. */
const maxArchiveBytes = 256 * 1024

/** The archives in the vectors' layers, those that hold the same bytes once. */
const corpus = (): ReadonlyMap<string, Uint8Array> => {
  const archives = new Map<string, Uint8Array>()
  const seen = new Set<string>()
  for (const { layer } of vectorJobs) {
    const blob = readVector(layer)
    const tar = Result.getOrUndefined(Result.try(() => (layer.endsWith(".gz") ? gunzipSync(blob) : blob)))
    const content = tar?.toString("latin1") ?? ""
    if (tar === undefined || tar.length > maxArchiveBytes || seen.has(content)) continue
    seen.add(content)
    archives.set(layer, tar)
  }
  return archives
}

/** Nobody gave these a time: directories that only a path names, and whiteouts. */
const withoutTimes = (tree: Record<string, FileFacts>, implied: ReadonlySet<string>) =>
  Object.fromEntries(
    Object.entries(tree).map(([name, facts]) => [
      name,
      implied.has(name) || facts.device === "0:0" ? { ...facts, mtime: "" } : facts
    ])
  )

const isEqual = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other)

/** How our tree of some layers compares: "equal", who refuses, or the first paths that differ. */
const compare = (layers: ReadonlyArray<Uint8Array>, foreign: ForeignUnpack, form: WhiteoutForm) =>
  Effect.gen(function* () {
    const { directory } = yield* unpackTarget
    const implied = new Set<string>()
    let refused = false
    for (const tar of layers) {
      const result = yield* Effect.result(unpackTar(directory, tar, form))
      if (Result.isFailure(result)) refused = true
      else for (const name of result.success.impliedDirectories) implied.add(name)
    }
    const theirs = foreign(layers)
    if (theirs === undefined || refused) {
      return refused ? (theirs === undefined ? "refused by both" : "refused by us") : "refused by them"
    }
    const expected = withoutTimes(fileTree(theirs), implied)
    const actual = withoutTimes(fileTree(directory), implied)
    const paths = [...new Set([...Object.keys(expected), ...Object.keys(actual)])]
    const different = paths.filter((name) => !isEqual(expected[name], actual[name]))
    return different.length === 0
      ? "equal"
      : `different: ${different
          .slice(0, 3)
          .map((name) => path.basename(name))
          .join(" ")}`
  }).pipe(Effect.scoped)

/** All layers of the corpus whose outcome is neither "equal" nor "refused by both". */
const exceptions = (foreign: ForeignUnpack, form: WhiteoutForm) =>
  Effect.gen(function* () {
    const found: Record<string, string> = {}
    let equal = 0
    for (const [name, tar] of corpus()) {
      const outcome = yield* compare([tar], foreign, form)
      if (outcome === "equal") equal++
      else if (outcome !== "refused by both") found[name] = outcome
    }
    return { equal, found }
  })

const layers = [
  tarOf(
    { name: "etc/", type: "5", mode: 0o750 },
    { name: "etc/passwd", content: "root", uid: 1, gid: 2, pax: { "SCHILY.xattr.user.note": "1", mtime: "5.25" } },
    { name: "etc/shadow", type: "1", linkname: "etc/passwd", uid: 1, gid: 2, pax: { mtime: "5.25" } },
    { name: "etc/mtab", type: "2", linkname: "/proc/mounts", mode: 0o777 },
    { name: "opt/", type: "5" },
    { name: "opt/full/", type: "5" },
    { name: "opt/full/a", content: "a" },
    { name: "opt/full/b", content: "b" },
    { name: "opt/swap", content: "a file" },
    { name: "opt/turn/", type: "5" },
    { name: "opt/turn/inside", content: "x" }
  ),
  tarOf(
    { name: "etc/.wh.shadow" },
    { name: "etc/group", content: "new", mode: 0o4711 },
    { name: "opt/full/", type: "5", mode: 0o700, mtime: 9 },
    { name: "opt/full/.wh..wh..opq" },
    { name: "opt/full/c", content: "c" },
    { name: "opt/swap/", type: "5" },
    { name: "opt/swap/now", type: "6" },
    { name: "opt/turn", type: "2", linkname: "swap", mode: 0o777 }
  )
]

describe.skipIf(!isRoot || !hasUmoci)("Unpacked trees and umoci's (need root and umoci)", () => {
  layer(UnpackerDirectory.layer, { excludeTestServices: true })("are compared", (it) => {
    it.effect("equal for layers upon each other, with whiteouts, opaque directories and changed types", () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* compare(layers, yield* umociUnpack, "apply"), "equal")
      })
    )

    it.effect("equal for the corpus, but where umoci is the odd one", () =>
      Effect.gen(function* () {
        const { equal, found } = yield* exceptions(yield* umociUnpack, "apply")
        assert.isAbove(equal, 25)
        assert.deepStrictEqual(found, {
          // umoci knows neither of these types.
          "err-global-pax.tar.gz": "refused by them",
          "err-type-contiguous.tar.gz": "refused by them",
          "err-type-gnusparse.tar.gz": "refused by them",
          // It fails on a root that is no directory, where containerd passes over it.
          "odd-paths.tar.gz": "refused by them",
          // It does not give a file the attributes of a later name of it.
          "links.tar.gz": "different: hard3 hard1 hard2",
          "old-formats.tar.gz": "different: f v7h",
          "pax-long-names.tar.gz": "different: a hl",
          // It sets times before the epoch.
          "mtimes.tar.gz": "different: m-huge256 m-neg256 m08",
          // It passes over whiteouts that name nothing.
          "whiteouts.tar.gz": "refused by us"
        })
      })
    )
  })
})

describe.skipIf(!isRoot || !hasContainerd)(
  "Unpacked trees and containerd's (need root, containerd, ctr, umoci)",
  () => {
    layer(UnpackerDirectory.layer, { excludeTestServices: true })("are compared", (it) => {
      it.effect("equal for the corpus, but for the two types that containerd does not know", () =>
        Effect.gen(function* () {
          const { equal, found } = yield* exceptions(yield* containerdUnpack, "overlay")
          assert.isAbove(equal, 25)
          assert.deepStrictEqual(found, {
            "err-type-contiguous.tar.gz": "refused by them",
            "err-type-gnusparse.tar.gz": "refused by them"
          })
        })
      )

      it.effect("equal for whiteouts and opaque directories", () =>
        Effect.gen(function* () {
          const foreign = yield* containerdUnpack
          for (const tar of layers) assert.strictEqual(yield* compare([tar], foreign, "overlay"), "equal")
        })
      )
    })
  }
)

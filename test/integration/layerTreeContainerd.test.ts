import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { noEntry, type LayerTree } from "../../src/services/LayerTree.ts"
import { buildLayerTree } from "../../src/streams/layerTree.ts"
import { containerdMissing, containerdUnpacker } from "../support/containerdUnpack.ts"
import { type FileFacts, fileTree } from "../support/fileTree.ts"
import { memberOf, randomEntries } from "../support/randomEntries.ts"
import { tarOf } from "../support/tarArchive.ts"
import { describeNode, nodesOf } from "../support/tocEntries.ts"

/** Where containerd fails and we may not: links before their targets, whiteouts of what is there, its own last step. */
const allowedRefusals = /no such file or directory|file exists|not a directory|too many levels of symbolic links/

const whiteout = "whiteout"

/** Times of directories that no entry names are those of the unpacking. */
const ourLines = (tree: LayerTree): Record<string, string> =>
  Object.fromEntries(
    [...nodesOf(tree)].map(([path, node]) => {
      const line = describeNode(tree, node)
      if (line.startsWith("char") && tree.rdev[node] === 0) return [path, whiteout]
      const implied = tree.entry[node] === noEntry || path === ""
      const rdev = tree.rdev[node] ?? 0
      const device = rdev === 0 ? "" : ` ${(rdev >> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >>> 12) & 0xfff00)}`
      return [path, `${line.replace(/ links=\d+/, "")}${device}${implied ? "" : ` ${tree.mtimeSeconds[node]}`}`]
    })
  )

const theirLine = (facts: FileFacts, timed: boolean): string => {
  if (facts.type === "char" && facts.device === "0:0") return whiteout
  return [
    `${facts.type} ${facts.mode} ${facts.owner}`,
    ...(facts.size === undefined ? [] : [`size=${facts.size}`]),
    ...(facts.target === undefined ? [] : [`-> ${facts.target}`]),
    ...(facts.xattrs["trusted.overlay.opaque"] === "y" ? ["opaque"] : []),
    ...(facts.device === undefined ? [] : [facts.device]),
    ...(timed ? [String(BigInt(facts.mtime) / 1_000_000_000n)] : [])
  ].join(" ")
}

/** Which paths are the same file: the first path of each. */
const linksOf = (tree: LayerTree): Record<string, string> => {
  const first = new Map<number, string>()
  const paths = [...nodesOf(tree)].filter(([path]) => path !== "").toSorted(([one], [other]) => (one < other ? -1 : 1))
  return Object.fromEntries(
    paths.flatMap(([path, node]) => {
      const known = first.get(node)
      if (known === undefined) first.set(node, path)
      return known === undefined ? [] : [[path, known] as const]
    })
  )
}

const inByteOrder = (links: Readonly<Record<string, string>>) =>
  Object.entries(links).toSorted(([one], [other]) => (one < other ? -1 : 1))

const seeds = Array.from({ length: 60 }, (_, i) => i + 1)

describe.skipIf(containerdMissing !== "")(
  `layer trees and containerd (missing: ${containerdMissing || "nothing"})`,
  () => {
    it.live("are the same, for tars of all kinds", () =>
      Effect.gen(function* () {
        const unpack = yield* containerdUnpacker
        let same = 0
        for (const seed of seeds) {
          const entries = randomEntries(seed)
          const ours = buildLayerTree(entries)
          const theirs = yield* Effect.result(unpack(tarOf(...entries.map(memberOf))))
          if (Result.isFailure(theirs)) {
            if (Result.isSuccess(ours)) assert.match(theirs.failure, allowedRefusals, `seed ${seed}`)
            continue
          }
          const tree = Result.getOrThrowWith(ours, (error) => new Error(`seed ${seed}: ${error.message}`))
          const lines = ourLines(tree)
          const facts = fileTree(theirs.success)
          const expected = Object.fromEntries(
            Object.entries(facts).map(([path, fact]) => [path, theirLine(fact, / \d+$/.test(lines[path] ?? ""))])
          )
          delete lines[""]
          assert.deepStrictEqual(lines, expected, `seed ${seed}`)
          const links = Object.entries(facts).flatMap(([path, { linkedTo }]) =>
            linkedTo ? [[path, linkedTo] as const] : []
          )
          assert.sameDeepMembers(
            inByteOrder(linksOf(tree)).filter(([path]) => lines[path] !== whiteout),
            links.filter(([path]) => lines[path] !== whiteout),
            `seed ${seed}`
          )
          same++
        }
        assert.isAbove(same, 15)
      }).pipe(Effect.scoped)
    )
  }
)

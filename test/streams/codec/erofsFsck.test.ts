/**
 * The word of EROFS's own checker on the images.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { spawnSync } from "node:child_process"
import { writeErofs } from "../../../src/streams/codec/erofs.ts"
import { erofsFiles } from "../../support/erofsMount.ts"
import { entry, file, hardLink, symlink, treeOf } from "../../support/tocEntries.ts"

/** Versions before 1.6 know blocks of 4096 bytes only. */
const noFsck = (() => {
  const { stdout, error } = spawnSync("fsck.erofs", ["-V"], { encoding: "utf8" })
  if (error !== undefined) return "fsck.erofs is not installed"
  const [major = 0, minor = 0] = /(\d+)\.(\d+)/.exec(stdout)?.slice(1).map(Number) ?? []
  return major > 1 || minor >= 6 ? undefined : `fsck.erofs ${major}.${minor} is older than 1.6`
})()

describe.skipIf(noFsck !== undefined)(
  `writeErofs, as fsck.erofs reads it${noFsck === undefined ? "" : ` (skipped: ${noFsck})`}`,
  () => {
    it.live("has nothing that fsck.erofs objects to", () =>
      Effect.gen(function* () {
        const stream = { size: 2 ** 20, pieces: [] }
        const many = Array.from({ length: 2000 }, (_, i) => file(`many/${i}`, { size: i, offset: 512 * i }))
        const kinds = [hardLink("h", "many/7"), symlink("s", "t".repeat(600)), entry("p", "fifo"), file(".wh.gone")]
        const tree = treeOf(...many, ...kinds)
        const files = yield* erofsFiles(
          Result.getOrThrow(writeErofs(tree, { streamSize: stream.size, opaqueXattr: "all" })),
          stream
        )
        const run = spawnSync("fsck.erofs", [`--device=${files.stream}`, files.image], { encoding: "utf8" })
        assert.strictEqual(run.status, 0, run.stderr)
      })
    )
  }
)

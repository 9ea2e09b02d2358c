/**
 * Random ztocs come back as they were written; damaged ones are read, or refused with an error that says where, whatever is done with
 * them.
 */
import { assert } from "@effect/vitest"
import { Result } from "effect"
import { InvalidTree } from "../../src/services/LayerTree.ts"
import { InvalidZtoc, type Ztoc } from "../../src/services/Ztoc.ts"
import { ZtocLimits } from "../../src/services/ZtocLimits.ts"
import { spansOf } from "../../src/streams/codec/zinfo.ts"
import { decodeZtoc, encodeZtoc } from "../../src/streams/codec/ztoc.ts"
import { buildLayerTree } from "../../src/streams/layerTree.ts"
import { type FuzzProgram, fuzzMain } from "../support/fuzz.ts"
import { randomZtoc } from "../support/randomZtoc.ts"

/** Views compare by what they show. */
const plain = (ztoc: Ztoc): Ztoc => ({ ...ztoc, checkpoints: new Uint8Array(ztoc.checkpoints) })

const checkTree = ({ entries }: Ztoc) => {
  const tree = buildLayerTree(entries)
  if (Result.isFailure(tree)) assert.instanceOf(tree.failure, InvalidTree)
}

const checkSpans = (ztoc: Ztoc) => {
  const opened = spansOf(ztoc)
  if (Result.isFailure(opened)) return assert.instanceOf(opened.failure, InvalidZtoc)
  let before = 0
  for (const { compressedStart, compressedEnd, uncompressedStart, uncompressedEnd } of opened.success.spans) {
    assert.isAtMost(compressedStart, compressedEnd)
    assert.isAtMost(compressedEnd, ztoc.compressedArchiveSize)
    assert.isAtMost(uncompressedStart, uncompressedEnd)
    assert.isAtMost(compressedEnd - compressedStart, ZtocLimits.spanBytes)
    assert.isAtMost(uncompressedEnd - uncompressedStart, ZtocLimits.spanBytes)
    assert.isAtLeast(uncompressedStart, before)
    before = uncompressedStart
  }
}

/** What could be read is the same after writing and reading again. */
const checkWriting = (ztoc: Ztoc) => {
  const written = encodeZtoc(ztoc)
  if (Result.isFailure(written)) return assert.match(ztoc.compressionAlgorithm, /^compressionalgorithm/)
  return assert.deepStrictEqual(plain(Result.getOrThrow(decodeZtoc(written.success))), plain(ztoc))
}

export const program: FuzzProgram = {
  name: "ztoc",
  count: 30_000,
  check: (random) => {
    const ztoc = randomZtoc(random)
    const bytes = Buffer.from(Result.getOrThrow(encodeZtoc(ztoc)))
    assert.deepStrictEqual(plain(Result.getOrThrow(decodeZtoc(bytes))), plain(ztoc))
    checkTree(ztoc)
    checkSpans(ztoc)
    for (let times = 0; times < 3; times++) {
      const damaged = decodeZtoc(random.damaged(bytes))
      if (Result.isFailure(damaged)) assert.instanceOf(damaged.failure, InvalidZtoc)
      else {
        checkTree(damaged.success)
        checkSpans(damaged.success)
        checkWriting(damaged.success)
      }
    }
  }
}

if (import.meta.main) await fuzzMain(program)

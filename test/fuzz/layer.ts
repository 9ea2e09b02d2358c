/**
 * Builds ztocs of random layers, whole and damaged: zlib and pako, however the bytes arrive, give the same ztoc or the same refusal,
 * and what was built can be read.
 */
import { assert } from "@effect/vitest"
import { Result } from "effect"
import type { BlockInflaterName } from "../../src/layers/inflate/BlockInflater.ts"
import { isScanFailure, startScan } from "../../src/layers/ztoc/layerScan.ts"
import { InvalidZtoc } from "../../src/services/Ztoc.ts"
import { spansOf } from "../../src/streams/codec/zinfo.ts"
import { decodeZtoc, encodeZtoc } from "../../src/streams/codec/ztoc.ts"
import { buildLayerTree } from "../../src/streams/layerTree.ts"
import { type FuzzProgram, fuzzMain } from "../support/fuzz.ts"
import type { Random } from "../support/Random.ts"
import { randomGzip } from "../support/randomGzip.ts"
import { randomTar } from "../support/randomTar.ts"

const build = (chunks: Iterable<Buffer>, spanSize: number, inflater: BlockInflaterName | undefined) => {
  const compression = inflater === undefined ? "uncompressed" : "gzip"
  const scan = startScan({ compression, spanSize, buildToolIdentifier: "fuzz", inflater })
  try {
    for (const chunk of chunks) {
      const failure = scan.push(chunk)
      if (failure !== undefined) return failure
    }
    return scan.end()
  } finally {
    scan.close()
  }
}

/** What is the same whoever built it. How far a broken stream was inflated depends on how it arrived. */
const answerOf = (result: ReturnType<typeof build>) =>
  isScanFailure(result)
    ? `${result.stage}: ${result.reason}${result.stage === "tar" ? ` at ${result.offset}` : ""}`
    : `${result.uncompressedSize} ${Buffer.from(result.ztoc).toString("base64")}`

const checkReading = (bytes: Uint8Array) => {
  const ztoc = decodeZtoc(bytes)
  if (Result.isFailure(ztoc)) return assert.instanceOf(ztoc.failure, InvalidZtoc)
  assert.isTrue(Buffer.from(bytes).equals(Result.getOrThrow(encodeZtoc(ztoc.success))))
  const opened = spansOf(ztoc.success)
  if (Result.isFailure(opened)) assert.instanceOf(opened.failure, InvalidZtoc)
  return buildLayerTree(ztoc.success.entries)
}

/** A layer: a tar, or what is none, perhaps with a long file so that there are spans. */
const content = (random: Random) => {
  const tar = random.chance(0.9) ? randomTar(random) : random.prose(random.int(3000))
  return random.chance(0.2) ? Buffer.concat([tar, random.prose(random.int(150_000))]) : tar
}

export const program: FuzzProgram = {
  name: "layer",
  count: 6_000,
  check: (random) => {
    const plain = random.chance(0.2)
    const spanSize = random.pick(plain ? [1, 512, 4096, 65_536] : [0, 1, 512, 4096, 65_536])
    const layer = plain ? content(random) : randomGzip(random, content(random))
    const bytes = random.chance(0.4) ? random.damaged(layer) : layer
    const built = build([bytes], spanSize, plain ? undefined : "zlib")
    assert.strictEqual(answerOf(build(random.chunks(bytes), spanSize, plain ? undefined : "zlib")), answerOf(built))
    if (!plain) assert.strictEqual(answerOf(build(random.chunks(bytes), spanSize, "pako")), answerOf(built))
    if (!isScanFailure(built)) checkReading(built.ztoc)
  }
}

if (import.meta.main) await fuzzMain(program)

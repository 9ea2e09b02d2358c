/**
 * Random checkpoint blobs, whole and damaged: what is read is what the bytes say, and anything else is refused.
 */
import { assert } from "@effect/vitest"
import { Result } from "effect"
import { InvalidZtoc } from "../../src/services/Ztoc.ts"
import { decodeGzipZinfo, decodeTarZinfo } from "../../src/streams/codec/zinfo.ts"
import { encodeGzipZinfo, encodeTarZinfo } from "../../src/streams/codec/zinfoWriter.ts"
import { type FuzzProgram, fuzzMain } from "../support/fuzz.ts"
import type { Random } from "../support/Random.ts"
import { randomGzipZinfo, randomTarZinfo } from "../support/randomZtoc.ts"

const checkGzip = (random: Random) => {
  const zinfo = randomGzipZinfo(random, 1000)
  const blob = Buffer.from(encodeGzipZinfo(zinfo))
  assert.isTrue(Buffer.from(encodeGzipZinfo(Result.getOrThrow(decodeGzipZinfo(blob)))).equals(blob))
  // Damage to the first bytes says more than damage to windows.
  const damaged = random.chance(0.5)
    ? Buffer.concat([random.damaged(blob.subarray(0, 40)), blob.subarray(40)])
    : random.damaged(blob)
  const read = decodeGzipZinfo(damaged)
  if (Result.isFailure(read)) return assert.instanceOf(read.failure, InvalidZtoc)
  return read.success.version === 2 ? assert.isTrue(damaged.equals(encodeGzipZinfo(read.success))) : undefined
}

const checkTar = (random: Random) => {
  const zinfo = randomTarZinfo(random)
  const blob = Buffer.from(encodeTarZinfo(zinfo))
  const read = decodeTarZinfo(blob)
  if (Result.isSuccess(read)) assert.deepStrictEqual(read.success, zinfo)
  const damaged = decodeTarZinfo(random.damaged(blob))
  if (Result.isFailure(damaged)) assert.instanceOf(damaged.failure, InvalidZtoc)
}

export const program: FuzzProgram = {
  name: "zinfo",
  count: 20_000,
  check: (random) => (random.chance(0.3) ? checkGzip(random) : checkTar(random))
}

if (import.meta.main) await fuzzMain(program)

/**
 * Random tars of every dialect, whole and damaged: however they arrive, the reader lists the same entries, or refuses with the same
 * error at the same place.
 */
import { assert } from "@effect/vitest"
import { type TarEntry, TarReader } from "../../src/streams/codec/tar.ts"
import { type FuzzProgram, fuzzMain } from "../support/fuzz.ts"
import { randomTar } from "../support/randomTar.ts"

const list = (chunks: Iterable<Buffer>) => {
  const entries: Array<Omit<TarEntry, "records"> & { readonly pax: ReadonlyArray<readonly [string, string]> }> = []
  let data = 0
  const reader = new TarReader({
    onEntry: ({ records, ...entry }) => void entries.push({ ...entry, pax: [...records] }),
    onData: (bytes) => void (data += bytes.length)
  })
  for (const chunk of chunks) reader.push(chunk)
  const error = reader.end()
  return { entries, data, error: error && [error.message, error.offset], size: reader.archiveSize }
}

export const program: FuzzProgram = {
  name: "tar",
  count: 50_000,
  check: (random) => {
    const tar = randomTar(random)
    const whole = list([tar])
    assert.deepStrictEqual(list(random.chunks(tar)), whole)
    assert.isAtMost(whole.size, tar.length)
    for (const { offset, name, linkname } of whole.entries) {
      assert.isAtMost(offset, tar.length)
      assert.isAtMost(name.length + linkname.length, tar.length)
    }
  }
}

if (import.meta.main) await fuzzMain(program)

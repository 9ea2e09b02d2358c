/**
 * Attributes and statistics as the add-on of fuse-native 2.2.6 takes them (populate_stat and populate_statvfs of its fuse-native.c): 32-bit
 * words, of which some are pairs, low word first.
 */
import type { FuseAttributes, FuseStatistics } from "./fuseReply.ts"

const two32 = 2 ** 32
export const attributesWords = 18
const maxNameBytes = 255

const setPair = (words: Uint32Array, at: number, value: number): void => {
  words[at] = value % two32
  words[at + 1] = Math.floor(value / two32)
}

/** struct stat, written over `words`. Times have milliseconds, and none is before 1970. */
export const encodeAttributes = (of: FuseAttributes, words: Uint32Array): Uint32Array => {
  const milliseconds = Math.max(of.seconds * 1000 + Math.floor(of.nanoseconds / 1e6), 0)
  words.set([of.mode, of.uid, of.gid])
  setPair(words, 3, of.size)
  words.set([0, of.nlink, of.node, of.rdev, 4096], 5)
  // In units of 512, for whole blocks of 4096 (lazy-filesystem spec, 6.3).
  setPair(words, 10, Math.ceil(of.size / 4096) * 8)
  for (const at of [12, 14, 16]) setPair(words, at, milliseconds)
  return words
}

/** struct statvfs. Where there are more blocks than a word can count, larger ones are counted. */
export const encodeStatistics = (of: FuseStatistics): Uint32Array => {
  let scale = 1
  while (of.blocks / scale >= two32 && of.blockSize * scale * 2 < two32) scale *= 2
  const blocks = [of.blocks, of.blocksFree, of.blocksAvailable].map((count) => Math.floor(count / scale))
  const files = [of.files, of.filesFree, of.filesFree].map((count) => Math.min(count, two32 - 1))
  const size = of.blockSize * scale
  return Uint32Array.from([size, size, ...blocks, ...files, 0, 0, maxNameBytes])
}

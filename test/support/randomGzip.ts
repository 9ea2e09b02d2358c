/**
 * Random gzip streams of given content: members, header fields, every kind of block.
 */
import { constants, crc32, deflateRawSync } from "node:zlib"
import type { Random } from "./Random.ts"

const header = (random: Random): Buffer => {
  const flags = random.chance(0.5) ? 0 : random.int(32)
  const parts: Array<Buffer> = [Buffer.of(0x1f, 0x8b, 8, flags, ...random.bytes(4), 0, 255)]
  if (flags & 4) {
    const extra = random.bytes(random.int(50))
    parts.push(Buffer.of(extra.length, 0), extra)
  }
  for (const flag of [8, 16]) {
    if ((flags & flag) === 0) continue
    parts.push(
      Buffer.from(random.text(random.int(random.chance(0.1) ? 600 : 40)).replaceAll("\0", "x") + "\0", "latin1")
    )
  }
  const bytes = Buffer.concat(parts)
  if ((flags & 2) === 0) return bytes
  const crc = crc32(bytes) & 0xffff
  return Buffer.concat([bytes, Buffer.of(crc & 0xff, crc >> 8)])
}

const storedBlock = (content: Buffer): Buffer => {
  const { length } = content
  return Buffer.concat([Buffer.of(0, length & 0xff, length >> 8, ~length & 0xff, (~length >> 8) & 0xff), content])
}

const { Z_DEFAULT_STRATEGY, Z_FILTERED, Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE } = constants

const deflated = (random: Random, content: Buffer, last: boolean): Buffer =>
  deflateRawSync(content, {
    level: random.int(10),
    memLevel: 1 + random.int(9),
    strategy: random.pick([Z_DEFAULT_STRATEGY, Z_DEFAULT_STRATEGY, Z_FILTERED, Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE]),
    windowBits: 9 + random.int(7),
    finishFlush: last ? constants.Z_FINISH : constants.Z_SYNC_FLUSH
  })

/** Raw deflate data of the content, in blocks of several origins, some of them empty. */
export const randomDeflate = (random: Random, content: Buffer): Buffer => {
  const blocks: Array<Buffer> = []
  let at = 0
  while (random.chance(0.6)) {
    const piece = content.subarray(at, at + random.int(Math.min(content.length - at, 60_000) + 1))
    at += piece.length
    blocks.push(random.chance(0.4) ? storedBlock(piece) : deflated(random, piece, false))
  }
  return Buffer.concat([...blocks, deflated(random, content.subarray(at), true)])
}

const member = (random: Random, content: Buffer): Buffer => {
  const trailer = Buffer.alloc(8)
  trailer.writeUInt32LE(crc32(content), 0)
  trailer.writeUInt32LE(content.length, 4)
  return Buffer.concat([header(random), randomDeflate(random, content), trailer])
}

/** A gzip stream of the content in one to four members. */
export const randomGzip = (random: Random, content: Buffer): Buffer => {
  const members: Array<Buffer> = []
  let at = 0
  while (members.length < 3 && random.chance(0.3)) {
    const end = at + random.int(content.length - at + 1)
    members.push(member(random, content.subarray(at, end)))
    at = end
  }
  return Buffer.concat([...members, member(random, content.subarray(at))])
}

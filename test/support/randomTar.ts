/**
 * Random tar archives: every dialect and type, PAX and GNU extensions, sparse maps, numbers in both forms, lies.
 */
import type { Random } from "./Random.ts"

const blockSize = 512

const octal = (value: number, length: number) =>
  value
    .toString(8)
    .padStart(length - 1, "0")
    .slice(0, length - 1)

/** A number in a field: octal, base-256, or neither. */
const writeNumber = (random: Random, block: Buffer, at: number, length: number, value: number) => {
  if (random.chance(0.02)) random.bytes(length).copy(block, at)
  else if (random.chance(0.1)) {
    block.fill(0, at, at + length)
    block[at] = 0x80
    block.writeUIntBE(value, at + length - 6, 6)
  } else block.write(octal(value, length), at, "latin1")
}

const magicOf = (random: Random) => random.pick(["ustar\u000000", "ustar\u000000", "ustar  \0", "\0\0\0\0\0\0\0\0"])

const headerBlock = (random: Random, name: string, type: string, size: number, linkname = ""): Buffer => {
  const block = Buffer.alloc(blockSize)
  block.write(name.slice(0, 100), 0, "latin1")
  block.write("0000644", 100, "latin1")
  writeNumber(random, block, 108, 8, random.int(70_000))
  writeNumber(random, block, 116, 8, random.int(70_000))
  writeNumber(random, block, 124, 12, size)
  writeNumber(random, block, 136, 12, random.int(2 ** 31))
  block.write(type, 156, "latin1")
  block.write(linkname.slice(0, 100), 157, "latin1")
  block.write(magicOf(random), 257, "latin1")
  if (random.chance(0.3)) block.write(random.pick(["root", random.text(32)]), 265, "latin1")
  if (type === "3" || type === "4") writeNumber(random, block, 329, 8, random.int(300))
  if (random.chance(0.1)) block.write(random.text(random.int(155)), 345, "latin1")
  if (random.chance(0.05)) block.write("tar\0", 508, "latin1")
  if (type === "S") {
    for (let i = 0; i < 4; i++) {
      block.write(octal(i * 600, 12), 386 + 24 * i, "latin1")
      block.write(octal(random.int(500), 12), 398 + 24 * i, "latin1")
    }
    block[482] = random.chance(0.3) ? 1 : 0
    block.write(octal(random.int(5000), 12), 483, "latin1")
  }
  // Damage in front of the checksum gets behind it.
  if (random.chance(0.05)) block[random.int(blockSize)] = random.int(256)
  block.fill(" ", 148, 156)
  block.write(
    octal(
      block.reduce((sum, byte) => sum + byte, 0),
      7
    ),
    148,
    "latin1"
  )
  return block
}

const padded = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & (blockSize - 1))])

const paxRecord = (random: Random, key: string, value: string): string => {
  if (random.chance(0.01)) return random.text(10)
  const rest = ` ${key}=${value}\n`
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return `${length}${rest}`
}

const records = (random: Random): string => {
  const value = (key: string) => {
    if (key.startsWith("GNU.sparse")) return random.pick(["0", "1", "3", "0,10,20,5", String(random.int64())])
    if (key.endsWith("time")) return `${random.int(2 ** 31)}.${random.int(2 ** 31)}`
    if (key === "size" || key.endsWith("id")) return random.pick(["0", "5", "1000", String(random.int64())])
    return random.chance(0.1) ? random.text(random.int(3000)) : random.path()
  }
  const keys = Array.from({ length: 1 + random.int(5) }, () =>
    random.pick([
      "path",
      "linkpath",
      "uname",
      "size",
      "uid",
      "mtime",
      "atime",
      "SCHILY.xattr.user.a",
      "SCHILY.xattr.trusted.overlay.opaque",
      "GNU.sparse.major",
      "GNU.sparse.minor",
      "GNU.sparse.map",
      "GNU.sparse.numblocks",
      "GNU.sparse.realsize",
      "GNU.sparse.offset",
      "GNU.sparse.numbytes",
      random.text(random.int(20))
    ])
  )
  return keys.map((key) => paxRecord(random, key, value(key))).join("")
}

const member = (random: Random): Buffer => {
  const type = random.pick(["0", "0", "0", "5", "5", "2", "1", "3", "4", "6", "\0", "7", "S", "x", "g", "L", "K", "Z"])
  const special = (flag: string, body: Buffer) => [headerBlock(random, "special", flag, body.length), padded(body)]
  if (type === "x" || type === "g") return Buffer.concat(special(type, Buffer.from(records(random), "latin1")))
  if (type === "L" || type === "K") return Buffer.concat(special(type, Buffer.from(`${random.path()}\0`, "latin1")))
  const hasData = "0\u00007S".includes(type)
  const content =
    hasData && random.chance(0.7) ? random.prose(random.int(random.chance(0.1) ? 20_000 : 1500)) : Buffer.alloc(0)
  const size = hasData || random.chance(0.05) ? content.length : 0
  return Buffer.concat([headerBlock(random, random.path(), type, size, random.path()), padded(content)])
}

/** An archive of a few entries, one in three of them damaged somewhere. */
export const randomTar = (random: Random): Buffer => {
  const members = Array.from({ length: random.int(8) }, () => member(random))
  const end = random.chance(0.9) ? Buffer.alloc(blockSize * random.pick([2, 2, 2, 1, 20])) : Buffer.alloc(0)
  const tar = Buffer.concat([...members, end])
  return random.chance(0.33) ? random.damaged(tar) : tar
}

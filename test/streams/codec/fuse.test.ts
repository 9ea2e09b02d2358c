import { assert, describe, it } from "@effect/vitest"
import { Opcode } from "../../../src/streams/codec/fuse.ts"
import { answerInit } from "../../../src/streams/codec/fuseInit.ts"
import { FuseReply } from "../../../src/streams/codec/fuseReply.ts"
import { FuseRequest } from "../../../src/streams/codec/fuseRequest.ts"

/** A request as the kernel writes it. */
const requestOf = (opcode: number, body: Uint8Array, claimed = 40 + body.length): FuseRequest => {
  const request = new FuseRequest(8192)
  const header = Buffer.from(request.bytes.buffer, 0, 40)
  header.writeUInt32LE(claimed, 0)
  header.writeUInt32LE(opcode, 4)
  header.writeBigUInt64LE(0x8000_0000_0000_0006n, 8)
  header.writeBigUInt64LE(0x1_0000_0002n, 16)
  header.writeUInt32LE(4711, 32)
  request.bytes.set(body, 40)
  return request
}

const accepted = (opcode: number, body: Uint8Array): FuseRequest => {
  const request = requestOf(opcode, body)
  assert.isTrue(request.accept(40 + body.length))
  return request
}

const words = (...values: ReadonlyArray<number>) => new Uint8Array(Uint32Array.from(values).buffer)
const replied = (reply: FuseReply, length: number) => Buffer.from(reply.body.subarray(0, length))

const attributes = {
  node: 7,
  size: 5_000_000_000,
  seconds: -3_600,
  nanoseconds: 250_000_000,
  mode: 0o104755,
  nlink: 2,
  uid: 1000,
  gid: 4_000_000_000,
  rdev: 0xffff_ffff
}

describe("FUSE requests", () => {
  it("say what the kernel asked, and for whom", () => {
    const request = accepted(Opcode.getattr, new Uint8Array(16))
    assert.strictEqual(request.opcode, Opcode.getattr)
    assert.deepStrictEqual([request.uniqueHigh, request.uniqueLow], [0x8000_0000, 6])
    assert.strictEqual(request.node, 0x1_0000_0002)
    assert.strictEqual(request.thread, 4711)
  })

  it("are refused when they are shorter than their opcode needs, at every length", () => {
    const read = requestOf(Opcode.read, new Uint8Array(40))
    const lengths = Array.from({ length: 81 }, (_, length) => length).filter((length) => {
      Buffer.from(read.bytes.buffer).writeUInt32LE(length, 0)
      return read.accept(length)
    })
    assert.deepStrictEqual(lengths, [80])
  })

  it("are refused when they claim another length than they have", () => {
    for (const claimed of [0, 39, 55, 57, 0xffff_ffff]) {
      assert.isFalse(requestOf(Opcode.getattr, new Uint8Array(16), claimed).accept(56), String(claimed))
    }
  })

  it("have names that end with NUL inside the request", () => {
    const lookup = accepted(Opcode.lookup, Buffer.from("na\xff\0behind", "latin1"))
    assert.strictEqual(Buffer.from(lookup.name(0)).toString("latin1"), "na\xff")
    assert.strictEqual(accepted(Opcode.lookup, Buffer.from("endless")).name(0).length, 0)
  })
})

describe("FUSE replies", () => {
  it("carry the request's number, the length or the error", () => {
    const reply = new FuseReply(64)
    assert.strictEqual(reply.finish(6, 0x8000_0000, 10), 26)
    const header = Buffer.from(reply.bytes.buffer, 0, 16)
    assert.deepStrictEqual([header.readUInt32LE(0), header.readInt32LE(4)], [26, 0])
    assert.strictEqual(header.readBigUInt64LE(8), 0x8000_0000_0000_0006n)
    assert.strictEqual(reply.finish(6, 0, -5), 16)
    assert.deepStrictEqual([header.readUInt32LE(0), header.readInt32LE(4)], [16, -5])
  })

  it("hold attributes as struct fuse_attr has them", () => {
    const reply = new FuseReply(256)
    assert.strictEqual(reply.attributes(attributes), 104)
    const struct = replied(reply, 104).subarray(16)
    assert.deepStrictEqual(
      [0, 8, 16].map((at) => struct.readBigUInt64LE(at)),
      [7n, 5_000_000_000n, 9_765_632n]
    )
    assert.deepStrictEqual(
      [24, 32, 40].map((at) => struct.readBigInt64LE(at)),
      [-3_600n, -3_600n, -3_600n]
    )
    assert.deepStrictEqual(
      [48, 52, 56, 60, 64, 68, 72, 76, 80, 84].map((at) => struct.readUInt32LE(at)),
      [250_000_000, 250_000_000, 250_000_000, 0o104755, 2, 1000, 4_000_000_000, 0xffff_ffff, 4096, 0]
    )
  })

  it("hold entries as struct fuse_entry_out has them, and say that there is none by the node 0", () => {
    const reply = new FuseReply(256)
    assert.strictEqual(reply.entry(0, attributes, 60), 128)
    const entry = replied(reply, 128)
    assert.deepStrictEqual(
      [0, 8, 16, 24, 32, 40].map((at) => entry.readBigUInt64LE(at)),
      [7n, 0n, 60n, 86_400n, 0n, 7n]
    )
    assert.strictEqual(reply.noEntry(0, 60), 128)
    assert.deepStrictEqual([replied(reply, 128).readBigUInt64LE(0), replied(reply, 128).readBigUInt64LE(16)], [0n, 60n])
  })

  it("hold directory entries at multiples of 8, as many as fit", () => {
    const reply = new FuseReply(256)
    reply.body.fill(0xee)
    assert.strictEqual(reply.dirent(0, 256, 3, 9, 4, Buffer.from("name")), 32)
    const dirent = replied(reply, 32)
    assert.deepStrictEqual([dirent.readBigUInt64LE(0), dirent.readBigUInt64LE(8)], [3n, 9n])
    assert.deepStrictEqual([dirent.readUInt32LE(16), dirent.readUInt32LE(20)], [4, 4])
    assert.strictEqual(dirent.toString("latin1", 24), "name\0\0\0\0")
    assert.strictEqual(reply.dirent(32, 64, 3, 9, 4, Buffer.from("eightchr")), 32)
    assert.strictEqual(reply.dirent(32, 63, 3, 9, 4, Buffer.from("eightchr")), 0)
  })
})

describe("FUSE INIT", () => {
  const everything = 0xffff_ffff
  const none = { posixAcl: false, readdirplus: false }
  const init = (major: number, minor: number, flags: number, high: number, features = none) => {
    const reply = new FuseReply(256)
    const result = answerInit(accepted(Opcode.init, words(major, minor, 131_072, flags, high)), reply, features)
    return { result, out: replied(reply, 64) }
  }

  it("agrees on the older version, on 1 MiB reads, and only on flags that were offered", () => {
    const { result, out } = init(7, 45, everything, everything, { posixAcl: true, readdirplus: true })
    assert.strictEqual(result, 64)
    assert.deepStrictEqual([out.readUInt32LE(0), out.readUInt32LE(4), out.readUInt32LE(8)], [7, 40, 1 << 20])
    assert.strictEqual(out.readUInt32LE(12), 0x41d6_6001)
    assert.strictEqual(out.readUInt16LE(28), 256)
    assert.strictEqual(out.readUInt32LE(32), 1 << 7)
    assert.strictEqual(init(7, 31, 1, everything).out.readUInt32LE(12), 1)
    assert.strictEqual(init(7, 31, 1, everything).out.readUInt32LE(32), 0)
    assert.strictEqual(init(7, 31, 1, everything).out.readUInt32LE(4), 31)
  })

  it("asks for access lists and listings with attributes only where a file system has them", () => {
    assert.strictEqual(init(7, 40, everything, 0).out.readUInt32LE(12), 0x41c6_0001)
  })

  it("refuses kernels that are too old, and tells newer ones its version", () => {
    assert.strictEqual(init(7, 30, everything, 0).result, -71)
    assert.strictEqual(init(6, 99, everything, 0).result, -71)
    assert.deepStrictEqual([init(8, 0, everything, 0).result, init(8, 0, everything, 0).out.readUInt32LE(0)], [64, 7])
  })
})

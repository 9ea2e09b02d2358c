/**
 * Choices that follow from a seed, and damage done to bytes.
 */

/** Numbers that readers of formats get wrong. */
const edges = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff]

export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e37_79b9) ^ 0x5bd1_e995
  }

  /** 0 to 2^32 - 1 (mulberry32). */
  #next(): number {
    this.#state = (this.#state + 0x6d2b_79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** 0 to `below` - 1; `below` is at most 2^32. */
  int(below: number): number {
    return Math.floor((this.#next() / 2 ** 32) * below)
  }

  chance(probability: number): boolean {
    return this.#next() < probability * 2 ** 32
  }

  pick<A>(choices: readonly [A, ...ReadonlyArray<A>]): A {
    return choices[this.int(choices.length)] ?? choices[0]
  }

  /** A signed number of 64 bits, often at an end of its range. */
  int64(): bigint {
    const bits = (BigInt(this.#next()) << 32n) | BigInt(this.#next())
    return this.chance(0.2) ? this.pick([0n, -1n, 2n ** 63n - 1n, -(2n ** 63n)]) : BigInt.asIntN(64, bits)
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length)
    for (let i = 0; i < length; i++) bytes[i] = this.#next() >>> 24
    return bytes
  }

  /** Bytes that deflate: words from a small book, sometimes noise. */
  prose(length: number): Buffer {
    if (this.chance(0.2)) return this.bytes(length)
    if (this.chance(0.2)) return Buffer.alloc(length, this.int(256))
    const words = Array.from({ length: 1 + this.int(20) }, () => this.bytes(1 + this.int(12)))
    const parts: Array<Buffer> = []
    for (let size = 0; size < length;) {
      const word = words[this.int(words.length)] ?? Buffer.alloc(1)
      parts.push(word)
      size += word.length
    }
    return Buffer.concat(parts).subarray(0, length)
  }

  /** Any bytes, one character each. */
  text(length: number): string {
    return this.bytes(length).toString("latin1")
  }

  /** A path of the kinds that tars have, hostile ones among them. */
  path(): string {
    const parts = Array.from({ length: 1 + this.int(4) }, () =>
      this.pick(["a", "b", "c", "..", ".", "", "etc", ".wh.a", ".wh..wh..opq", ".wh..wh.plnk", this.text(this.int(30))])
    )
    return (this.chance(0.1) ? "/" : "") + parts.join("/") + (this.chance(0.1) ? "/" : "")
  }

  /** Bytes cut at random places: the way they arrive. */
  *chunks(bytes: Buffer): Generator<Buffer> {
    const largest = this.pick([1, 7, 100, 513, 5000, 100_000])
    for (let at = 0; at < bytes.length;) {
      // Cutting everything into single bytes takes long and shows nothing new behind the first thousands.
      const length = at > 3000 ? 5000 : 1 + this.int(largest)
      yield bytes.subarray(at, at + length)
      at += length
    }
  }

  /** A copy with some bytes changed, cut, doubled or left out. */
  damaged(original: Buffer): Buffer {
    let bytes = Buffer.from(original)
    for (let times = 1 + this.int(4); times > 0 && bytes.length > 4; times--) {
      const at = this.int(bytes.length)
      const end = Math.min(bytes.length, at + 1 + this.int(600))
      switch (this.int(8)) {
        case 0:
          bytes = bytes.subarray(0, at)
          break
        case 1:
          bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)])
          break
        case 2:
          bytes = Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)])
          break
        case 3:
        case 4:
          bytes.writeUInt32LE(edges[this.int(edges.length)] ?? 0, Math.min(at & ~3, bytes.length - 4))
          break
        default:
          bytes[at] = (bytes[at] ?? 0) ^ (1 << this.int(8))
      }
    }
    return bytes
  }
}

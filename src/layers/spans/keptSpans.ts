/**
 * Which spans of a layer's file hold their bytes, written down so that it outlives the process and the machine's power.
 *
 * Two sets of bits. What a process wrote survives that process, so a span counts for as long as the machine is up once it was written
 * (`recent`, with the number of the boot). After a crash of the machine it counts only if its bytes were flushed to the disk before its bit was
 * set (`durable`). Whatever a write tore leaves bits that were true before: after the next boot `recent` is not looked at.
 */
import { type FileHandle, readFile } from "node:fs/promises"

const magic = Buffer.from("SOCISPAN")
const version = 1
const bootBytes = 16
/** Magic, version, count of spans, size of the stream. */
const fixedBytes = 24
/** And the number of the boot. */
const headerBytes = fixedBytes + bootBytes

/** The kernel's number of this boot (random(4)). */
export const currentBoot = async (): Promise<Buffer> =>
  Buffer.from((await readFile("/proc/sys/kernel/random/boot_id", "latin1")).replaceAll(/[-\s]/g, ""), "hex")

export interface KeptLayer {
  /** Bytes of the stream's file. */
  readonly size: number
  /** Where the spans begin, and where the last one ends. */
  readonly starts: Float64Array
}

const countOf = ({ starts }: KeptLayer): number => starts.length - 1

/** The bits of one layer, and the file they are written to. Whoever uses it has the file locked. */
export class KeptSpans {
  readonly #file: FileHandle
  readonly #bits: Buffer
  #unflushed = false

  private constructor(file: FileHandle, bits: Buffer) {
    this.#file = file
    this.#bits = bits
  }

  /** The spans that count in this boot; none where the file is new, not of this layer, or damaged. */
  static async open(file: FileHandle, layer: KeptLayer, boot: Buffer): Promise<KeptSpans> {
    const bytes = Math.ceil(countOf(layer) / 8)
    const fixed = fixedPart(layer)
    const starts = startsPart(layer)
    const found = Buffer.alloc(headerBytes + 2 * bytes + starts.length)
    const { bytesRead } = await file.read(found, 0, found.length, 0)
    const [header, durable, recent, rest] = cut(found, [headerBytes, bytes, bytes, starts.length])
    const valid = bytesRead === found.length && header.subarray(0, fixedBytes).equals(fixed) && rest.equals(starts)
    if (valid && header.subarray(fixedBytes).equals(boot)) return new KeptSpans(file, Buffer.from(recent))
    const bits = valid ? Buffer.from(durable) : Buffer.alloc(bytes)
    // In one write: a process that dies leaves the old or the new.
    const whole = Buffer.concat([fixed, boot, bits, bits, starts])
    await file.write(whole, 0, whole.length, 0)
    await file.truncate(whole.length)
    return new KeptSpans(file, bits)
  }

  has(span: number): boolean {
    return ((this.#bits[span >>> 3] ?? 0) & (1 << (span & 7))) !== 0
  }

  get isEmpty(): boolean {
    return this.#bits.every((byte) => byte === 0)
  }

  /** A span whose bytes were written: it counts as long as the machine is up. */
  async add(span: number): Promise<void> {
    const at = span >>> 3
    this.#bits[at] = (this.#bits[at] ?? 0) | (1 << (span & 7))
    this.#unflushed = true
    await this.#file.write(this.#bits, at, 1, headerBytes + this.#bits.length + at)
  }

  /** What counts now shall count after a loss of power too. `stream` holds the bytes. */
  async flush(stream: FileHandle): Promise<void> {
    if (!this.#unflushed) return
    this.#unflushed = false
    const durable = Buffer.from(this.#bits)
    try {
      await stream.datasync()
      await this.#file.write(durable, 0, durable.length, headerBytes)
      await this.#file.datasync()
    } catch (error) {
      this.#unflushed = true
      throw error
    }
  }

  /** Spans that will not be there any more. Their bytes may be taken away once this has returned. */
  async remove(spans: Iterable<number>): Promise<void> {
    for (const span of spans) {
      const at = span >>> 3
      this.#bits[at] = (this.#bits[at] ?? 0) & ~(1 << (span & 7))
    }
    await this.#file.write(Buffer.concat([this.#bits, this.#bits]), 0, 2 * this.#bits.length, headerBytes)
    await this.#file.datasync()
  }
}

const cut = (bytes: Buffer, lengths: readonly [number, number, number, number]) => {
  let at = 0
  const next = (length: number) => bytes.subarray(at, (at += length))
  return [next(lengths[0]), next(lengths[1]), next(lengths[2]), next(lengths[3])] as const
}

const fixedPart = (layer: KeptLayer): Buffer => {
  const fixed = Buffer.alloc(fixedBytes)
  magic.copy(fixed)
  fixed.writeUInt32LE(version, 8)
  fixed.writeUInt32LE(countOf(layer), 12)
  fixed.writeBigUInt64LE(BigInt(layer.size), 16)
  return fixed
}

const startsPart = ({ starts }: KeptLayer): Buffer => {
  const bytes = Buffer.alloc(starts.length * 8)
  starts.forEach((start, span) => bytes.writeDoubleLE(start, span * 8))
  return bytes
}

/** Of which layer a file is; undefined where it is none of these files. For those who know nothing of the layer. */
export const keptLayerOf = async (file: FileHandle): Promise<KeptLayer | undefined> => {
  const { size: fileSize } = await file.stat()
  const fixed = Buffer.alloc(fixedBytes)
  const { bytesRead } = await file.read(fixed, 0, fixedBytes, 0)
  if (bytesRead < fixedBytes || !fixed.subarray(0, 8).equals(magic) || fixed.readUInt32LE(8) !== version) return
  const count = fixed.readUInt32LE(12)
  const at = headerBytes + 2 * Math.ceil(count / 8)
  const bytes = (count + 1) * 8
  if (fileSize !== at + bytes) return
  const starts = Buffer.alloc(bytes)
  await file.read(starts, 0, bytes, at)
  const startAt = (_: unknown, span: number) => starts.readDoubleLE(span * 8)
  return { size: Number(fixed.readBigUInt64LE(16)), starts: Float64Array.from({ length: count + 1 }, startAt) }
}

/**
 * The inflater that scans layers in this thread: the zlib of the Node binary, or pako where that cannot be had. Each has to find the
 * checkpoints of a known stream before it is taken.
 */
import { type BlockInflater, type BlockInflaterName, WindowBits } from "../inflate/BlockInflater.ts"
import { PakoStream } from "../inflate/PakoStream.ts"
import { ZlibStream } from "../native/zlib.ts"
import { GzipScanner } from "./gzipScanner.ts"

const makers: Readonly<Record<BlockInflaterName, () => BlockInflater>> = {
  zlib: () => new ZlibStream(WindowBits.detect),
  pako: () => new PakoStream(WindowBits.detect)
}

const line = "spans of layers, spans of layers and bits; "

/** Three members, the first with blocks that end between bytes, the second with a stored one. */
const sample = {
  compressed:
    "H4sIAAAAAAACAyouSMwrVshPU8hJrEwtKtZRKEYVUEjMS1FIyiwptlYAKD8NXRKfaoBIUFpBglrAAAFibnawAAAAH4sIAAAAAAAEAwAHAPj/" +
    "c3RvcmVkIAEAAP//NFXofgcAAAAfiwgAAAAAAAADKy5IzCtWyE9TyEmsTC0q1lEoRhVQSMxLUUjKLCm2VgAAJINbaysAAAA=",
  /** in, out and bits of each block. */
  positions: "10/0/0 43/43/6 50/89/2 57/176/2 88/183/0",
  text: `${line}of ${line}${line}x${line}stored ${line}`
}

const passes = (make: () => BlockInflater): boolean => {
  const positions: Array<string> = []
  let text = ""
  const scanner = new GzipScanner(0, make(), {
    onCheckpoint: ({ in: input, out, bits }) => void positions.push(`${input}/${out}/${bits}`),
    onOutput: (bytes) => void (text += Buffer.from(bytes).toString("latin1")),
    onMember: () => undefined
  })
  try {
    scanner.push(Buffer.from(sample.compressed, "base64"))
    scanner.end()
  } finally {
    scanner.close()
  }
  return positions.join(" ") === sample.positions && text === sample.text
}

const tested = new Map<BlockInflaterName, unknown>()

/** Why an implementation cannot be used here; undefined when it can. */
const problemOf = (name: BlockInflaterName): unknown => {
  if (!tested.has(name)) {
    try {
      tested.set(name, passes(makers[name]) ? undefined : new Error(`${name} does not inflate the known sample`))
    } catch (cause) {
      tested.set(name, cause)
    }
  }
  return tested.get(name)
}

export interface ChosenInflater {
  readonly name: BlockInflaterName
  readonly make: () => BlockInflater
}

/** `prefer` names one that must be taken: this throws where it cannot be. */
export const chooseInflater = (prefer?: BlockInflaterName): ChosenInflater => {
  const name = prefer ?? (problemOf("zlib") === undefined ? "zlib" : "pako")
  const problem = problemOf(name)
  if (problem !== undefined) throw new Error(`layers cannot be scanned with ${name} here`, { cause: problem })
  return { name, make: makers[name] }
}

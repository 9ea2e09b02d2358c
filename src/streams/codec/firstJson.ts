/**
 * The first JSON value of some bytes, as a streaming decoder takes it: what follows it is of no interest (oci-layout-store,
 * section 2).
 */
import { parseJson } from "./goJson.ts"

const quote = 0x22
const backslash = 0x5c
const openers = new Set([0x7b, 0x5b])
const closers = new Set([0x7d, 0x5d])

/** Where the structure or list that the bytes begin with ends; the end of the bytes for anything else. */
const endOfFirst = (bytes: Uint8Array): number => {
  let depth = 0
  let inText = false
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0
    if (inText) {
      if (byte === backslash) i++
      else if (byte === quote) inText = false
    } else if (byte === quote) {
      inText = true
    } else if (openers.has(byte)) {
      depth++
    } else if (closers.has(byte) && --depth <= 0) {
      return i + 1
    }
  }
  return bytes.length
}

/** Reads the structure or list at the start of UTF-8 bytes; throws a `SyntaxError` where there is none. */
export const parseFirstJson = (bytes: Uint8Array): unknown => parseJson(bytes.subarray(0, endOfFirst(bytes)))

/**
 * Content for tests: bytes, how they arrive, and what names them.
 */
import { Stream } from "effect"
import type { Descriptor } from "../../src/services/Descriptor.ts"
import { digestOf } from "../../src/streams/verify.ts"

export const descriptorOf = (bytes: Uint8Array, mediaType = "application/octet-stream"): Descriptor => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length
})

/** Splits `bytes` into single-chunk pulls of `size` bytes, as a network would deliver them. */
export const chunked = (bytes: Uint8Array, size: number): Stream.Stream<Uint8Array> =>
  Stream.fromIterable(
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
  ).pipe(Stream.rechunk(1))

/** Deterministic bytes that gzip cannot shrink much; another `seed`, other bytes. */
export const noise = (length: number, seed = 1): Uint8Array => {
  let state = Math.imul(seed, 0x9e3779b9)
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + seed) | 0
    return state >>> 24
  })
}

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

export const json = (value: unknown): Uint8Array => utf8(JSON.stringify(value))

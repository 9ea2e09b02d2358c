/**
 * Inflates step by step and tells where in the compressed bits it stands: what finding checkpoints needs. The contract is that of
 * zlib's `inflate` with `Z_BLOCK` (zlib.h): with the same input every implementation stops at the same places.
 */

export type BlockInflaterName = "zlib" | "pako"

export interface BlockInflater {
  /** The bytes to inflate next; what was not consumed of earlier ones is forgotten. */
  setInput(bytes: Uint8Array): void
  /** Where output goes next. The bytes must stay as they are until the next call of `setOutput`. */
  setOutput(buffer: Uint8Array<ArrayBuffer>, offset: number, length: number): void
  /** Bytes of the input that were not consumed. */
  readonly unused: number
  /** Bytes written since `setOutput`. */
  readonly produced: number
  /** zlib's `data_type`: 128 at a block boundary, 64 in the last block, and the count of unused bits. */
  readonly position: number
  /** Goes on until input or output are used up, or a boundary that `flush` names; answers with a status of zlib. */
  inflate(flush: Flush): number
  /** Ready for the next member; a window set before is gone. */
  reset(): void
  close(): void
}

export const Flush = { none: 0, sync: 2, block: 5 } as const
export type Flush = (typeof Flush)[keyof typeof Flush]

export const Status = { ok: 0, streamEnd: 1, dataError: -3, bufError: -5 } as const

/** Raw deflate data; or gzip and zlib, detected by their headers and checked by their trailers. */
export const WindowBits = { raw: -15, detect: 47 } as const

/**
 * Descriptors of what was made in memory.
 */
import type { Descriptor } from "../../services/Descriptor.ts"
import { digestOf } from "../../streams/verify.ts"

/** The descriptor of bytes that are in memory. */
export const describeContent = (mediaType: string, bytes: Uint8Array): Descriptor => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length
})

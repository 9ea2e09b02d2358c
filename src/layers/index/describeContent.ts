import { createHash } from "node:crypto"
import { type Descriptor, Digest } from "../../services/Descriptor.ts"

/** The descriptor of bytes that are in memory. */
export const describeContent = (mediaType: string, bytes: Uint8Array): Descriptor => ({
  mediaType,
  digest: Digest.make(`sha256:${createHash("sha256").update(bytes).digest("hex")}`),
  size: bytes.length
})

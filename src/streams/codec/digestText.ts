/**
 * Digests as people type them, refused in the words of go-digest.
 */
import { Result } from "effect"
import { Digest } from "../../services/Descriptor.ts"

/** Hexadecimal digits of the algorithms that go-digest has. */
const lengths: ReadonlyMap<string, number> = new Map([
  ["sha256", 64],
  ["sha384", 96],
  ["sha512", 128]
])

const form = /^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/

export const parseDigestText = (text: string): Result.Result<Digest, string> => {
  if (/^sha256:[0-9a-f]{64}$/.test(text)) return Result.succeed(Digest.make(text))
  const colon = text.indexOf(":")
  if (colon <= 0 || colon + 1 === text.length) return Result.fail("invalid checksum digest format")
  const length = lengths.get(text.slice(0, colon))
  if (length === undefined) {
    return Result.fail(form.test(text) ? "unsupported digest algorithm" : "invalid checksum digest format")
  }
  const encoded = text.slice(colon + 1)
  if (encoded.length !== length) return Result.fail("invalid checksum digest length")
  // Content is named by sha256 here: no other digest names any.
  return Result.fail(
    /^[a-f0-9]+$/.test(encoded) ? `couldn't retrieve artifact for ${text}, not found` : "invalid checksum digest format"
  )
}

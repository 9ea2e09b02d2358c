/**
 * Checks content against the descriptor that names it.
 */
import { Effect, Result, Stream } from "effect"
import { createHash } from "node:crypto"
import { ContentMismatch, type Descriptor, Digest } from "../services/Descriptor.ts"

type Expected = Pick<Descriptor, "digest" | "size">

export const digestOf = (bytes: Uint8Array): Digest =>
  Digest.make(`sha256:${createHash("sha256").update(bytes).digest("hex")}`)

const mismatch = (expected: Expected, subject: string, actualDigest: string, actualSize: number) =>
  new ContentMismatch({
    subject,
    expectedDigest: expected.digest,
    expectedSize: expected.size,
    actualDigest,
    actualSize
  })

/** Passes bytes that are the expected content. `subject` says in the error what was read. */
export const verifyBytes = (
  bytes: Uint8Array,
  expected: Expected,
  subject: string
): Result.Result<Uint8Array, ContentMismatch> => {
  const digest = digestOf(bytes)
  return digest === expected.digest && bytes.length === expected.size
    ? Result.succeed(bytes)
    : Result.fail(mismatch(expected, subject, digest, bytes.length))
}

/**
 * Passes chunks through unchanged and fails if, taken together, they are not the expected content. An oversized
 * stream fails at its first byte too many, before that byte is passed on. `subject` says in the error what was read.
 */
export const verify =
  (expected: Expected, subject: string) =>
  <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Uint8Array, E | ContentMismatch, R> =>
    Stream.suspend(() => {
      const hash = createHash("sha256")
      let size = 0

      const check = Effect.suspend(() => {
        const digest = `sha256:${hash.digest("hex")}`
        return digest === expected.digest && size === expected.size
          ? Effect.void
          : Effect.fail(mismatch(expected, subject, digest, size))
      })

      return bytes.pipe(
        Stream.tap((chunk) => {
          hash.update(chunk)
          size += chunk.length
          return size > expected.size ? check : Effect.void
        }),
        Stream.onEnd(check)
      )
    })

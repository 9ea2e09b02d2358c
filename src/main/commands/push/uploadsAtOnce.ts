/**
 * How many uploads run at the same time.
 */
import { Effect } from "effect"

/** The reference's. */
export const defaultUploads = 3

/** More than any registry takes, and nothing that memory or descriptors are short of. */
const mostUploads = 1024

const largestSigned = 2n ** 63n - 1n

/** 0 is the default; what the reference cannot count is the default with a warning. */
export const uploadsAtOnce = (given: bigint): Effect.Effect<number> => {
  if (given === 0n) return Effect.succeed(defaultUploads)
  if (given <= largestSigned) return Effect.succeed(Number(given < mostUploads ? given : mostUploads))
  const warning = `warning: overflow for setting --max-concurrent-uploads=${given}; defaulting to ${defaultUploads}\n`
  return Effect.as(
    Effect.sync(() => process.stderr.write(warning)),
    defaultUploads
  )
}

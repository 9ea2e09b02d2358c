/**
 * How far the kernel reads ahead in a mounted file system: 128 KiB unless it is told otherwise.
 */
import { Effect } from "effect"
import { stat, writeFile } from "node:fs/promises"
import { maxReadBytes } from "../streams/codec/fuseInit.ts"

/** Lets a mount read ahead as far as one request to us reaches. Fails only if the mount does not answer a stat(2). */
export const letReadAhead = (mountPoint: string): Effect.Effect<void, Error> =>
  Effect.tryPromise({
    try: () => stat(mountPoint),
    catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause)))
  }).pipe(
    Effect.flatMap(({ dev }) =>
      // Where /sys is read-only the kernel's own figure stays.
      Effect.ignore(Effect.tryPromise(() => writeFile(readAheadFile(dev), String(maxReadBytes / 1024))))
    )
  )

/** `dev` as stat(2) has it: Linux' encoding of major and minor. */
const readAheadFile = (dev: number): string => {
  const major = (dev >>> 8) & 0xfff
  const minor = (dev & 0xff) | ((dev >>> 12) & 0xfff00)
  return `/sys/class/bdi/${major}:${minor}/read_ahead_kb`
}

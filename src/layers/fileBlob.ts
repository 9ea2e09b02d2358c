/**
 * A local file read by ranges.
 */
import { Effect, Stream } from "effect"
import type { FileHandle } from "node:fs/promises"
import type { Descriptor } from "../services/Descriptor.ts"
import { BlobReadFailed, type RemoteBlob } from "../services/RemoteBlob.ts"

/** Big enough that the cost of a call vanishes, small enough to stay in cache. */
const chunkBytes = 256 * 1024

/** What one buffer for all chunks has: fewer calls, and no more memory than that. */
const reusedBytes = 1024 * 1024

/** A range up to this size, such as a span, comes in one piece: its reader would put it together in as much memory again. */
const wholeBytes = 4 * 1024 * 1024

/** `bufferOf` has memory for the next chunk when so many bytes are missing. */
const readChunks = <E>(
  handle: FileHandle,
  offset: number,
  length: number,
  onError: (cause: unknown) => E,
  bufferOf: (bytes: number) => Buffer
): Stream.Stream<Uint8Array, E> =>
  Stream.unfold(offset, (position) =>
    position >= offset + length
      ? Effect.succeed(undefined)
      : Effect.tryPromise({
          try: async () => {
            const buffer = bufferOf(offset + length - position)
            const { bytesRead } = await handle.read(buffer, 0, buffer.length, position)
            return bytesRead === 0 ? undefined : ([buffer.subarray(0, bytesRead), position + bytesRead] as const)
          },
          catch: onError
        })
  )

/** Exactly the bytes [offset, offset + length), less only where the file ends. */
export const readRange = <E>(
  handle: FileHandle,
  offset: number,
  length: number,
  onError: (cause: unknown) => E
): Stream.Stream<Uint8Array, E> => {
  const atOnce = length <= wholeBytes ? length : chunkBytes
  return readChunks(handle, offset, length, onError, (missing) => Buffer.allocUnsafeSlow(Math.min(missing, atOnce)))
}

/**
 * The same for who has done with each chunk before it asks for the next, as the building of ztocs has: all chunks lie in the same
 * memory. A new buffer for each makes the collector run every 30 MB.
 */
export const readRangeReusing = <E>(
  handle: FileHandle,
  offset: number,
  length: number,
  onError: (cause: unknown) => E
): Stream.Stream<Uint8Array, E> =>
  Stream.suspend(() => {
    const buffer = Buffer.allocUnsafeSlow(Math.min(reusedBytes, length))
    return readChunks(handle, offset, length, onError, (missing) => buffer.subarray(0, missing))
  })

/** Ranges of a file of exactly `size` bytes, as long as the handle is open. */
export const fileRanges =
  (size: number, location: string, handle: FileHandle): RemoteBlob["read"] =>
  (offset, length) => {
    const failed = (reason: string, cause?: unknown) =>
      new BlobReadFailed({ blob: location, offset, length, reason, ...(cause === undefined ? {} : { cause }) })
    if (!(offset >= 0 && length >= 0 && offset + length <= size)) {
      return Stream.fail(failed(`the blob has only ${size} bytes`))
    }
    return Stream.suspend(() => {
      let missing = length
      return readRange(handle, offset, length, (cause) => failed(String(cause), cause)).pipe(
        Stream.tap((chunk) => Effect.sync(() => (missing -= chunk.length))),
        Stream.onEnd(
          Effect.suspend(() => (missing === 0 ? Effect.void : Effect.fail(failed("the file became shorter"))))
        )
      )
    })
  }

/** The content of a descriptor in a file of exactly its size, as long as the handle is open. */
export const fileBlob = (descriptor: Descriptor, location: string, handle: FileHandle): RemoteBlob => ({
  descriptor,
  location,
  read: fileRanges(descriptor.size, location, handle)
})

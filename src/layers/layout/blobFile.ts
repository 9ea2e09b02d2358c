/**
 * The blobs of a layout, read: `blobs/sha256/<hex>`.
 */
import { Effect, type Scope, Stream } from "effect"
import { constants } from "node:fs"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { ContentNotFound, type ContentStoreError, type ContentStoreFailed } from "../../services/ContentStore.ts"
import { type Descriptor, type Digest, hexOf } from "../../services/Descriptor.ts"
import { fileBlob, readRange } from "../fileBlob.ts"
import { type Attempts, errorCode, type Operation } from "./layoutFailure.ts"

export const blobPath = (root: string, digest: Digest): string => path.join(root, "blobs", "sha256", hexOf(digest))

/** The size of a blob; `undefined` where there is none. */
export const blobSize = (
  { root, attempt }: Attempts,
  operation: Operation,
  digest: Digest
): Effect.Effect<number | undefined, ContentStoreFailed> =>
  attempt(operation, digest, async () => {
    try {
      const stat = await fs.stat(blobPath(root, digest))
      return stat.isFile() ? stat.size : undefined
    } catch (cause) {
      if (errorCode(cause) === "ENOENT") return undefined
      throw cause
    }
  })

interface OpenBlob {
  readonly handle: fs.FileHandle
  readonly size: number
}

/** A layout may come from anywhere: what is opened under a blob's name may be a pipe, and must not block. */
const openFile = async (file: string): Promise<OpenBlob> => {
  const handle = await fs.open(file, constants.O_RDONLY | constants.O_NONBLOCK)
  const stat = await handle.stat()
  if (stat.isFile()) return { handle, size: stat.size }
  await handle.close()
  throw new Error("it is not a regular file")
}

export const openBlobFile = (
  { root, attempt }: Attempts,
  operation: Operation,
  digest: Digest
): Effect.Effect<OpenBlob, ContentStoreError, Scope.Scope> =>
  Effect.acquireRelease(
    attempt(operation, digest, () => openFile(blobPath(root, digest))),
    ({ handle }) => Effect.promise(() => handle.close())
  ).pipe(
    Effect.mapError((error) =>
      errorCode(error.cause) === "ENOENT" ? new ContentNotFound({ store: root, reference: digest }) : error
    )
  )

/** A whole blob as it lies there, unverified. */
export const readBlobFile = (attempts: Attempts, digest: Digest): Stream.Stream<Uint8Array, ContentStoreError> =>
  Stream.unwrap(
    Effect.map(openBlobFile(attempts, "read", digest), ({ handle, size }) =>
      readRange(handle, 0, size, (cause) => attempts.failure("read", digest, String(cause), cause))
    )
  )

/** Opens a blob whose size is what its descriptor says. */
export const openRemoteBlob = Effect.fnUntraced(function* (attempts: Attempts, descriptor: Descriptor) {
  const { handle, size } = yield* openBlobFile(attempts, "open", descriptor.digest)
  const location = blobPath(attempts.root, descriptor.digest)
  if (size !== descriptor.size) {
    const reason = `${location} has ${size} bytes instead of ${descriptor.size}; remove the file and fetch it again`
    return yield* attempts.failure("open", descriptor.digest, reason)
  }
  return fileBlob(descriptor, location, handle)
})

/**
 * The blobs of a layout directory: `blobs/sha256/<hex>`.
 */
import { Effect, type Scope } from "effect"
import { constants } from "node:fs"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { ContentNotFound, type ContentStoreError, type ContentStoreFailed } from "../../services/ContentStore.ts"
import { type Digest, hexOf } from "../../services/Descriptor.ts"
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

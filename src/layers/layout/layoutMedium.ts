/**
 * Where the files of a layout lie: in a directory, or in an archive. All that reads a layout is written against this.
 */
import { Effect, type Scope } from "effect"
import type { FileHandle } from "node:fs/promises"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { ContentStoreError, ContentStoreFailed } from "../../services/ContentStore.ts"
import type { Digest } from "../../services/Descriptor.ts"
import { blobPath, blobSize, openBlobFile } from "./blobFile.ts"
import { type Attempts, type Operation, unlessMissing } from "./layoutFailure.ts"

/** A blob is `size` bytes of an open file, from `offset`. */
export interface OpenedBlob {
  readonly handle: FileHandle
  readonly offset: number
  readonly size: number
}

export interface LayoutMedium {
  readonly attempts: Attempts
  /** The place of a blob, for messages. */
  pathOf(digest: Digest): string
  /** The size of a blob; `undefined` where there is none. */
  sizeOf(operation: Operation, digest: Digest): Effect.Effect<number | undefined, ContentStoreFailed>
  open(operation: Operation, digest: Digest): Effect.Effect<OpenedBlob, ContentStoreError, Scope.Scope>
  /** Names of the blobs' files, sorted; some may be no digests. */
  readonly names: Effect.Effect<ReadonlyArray<string>, ContentStoreFailed>
}

export const directoryMedium = (attempts: Attempts): LayoutMedium => ({
  attempts,
  pathOf: (digest) => blobPath(attempts.root, digest),
  sizeOf: (operation, digest) => blobSize(attempts, operation, digest),
  open: (operation, digest) =>
    Effect.map(openBlobFile(attempts, operation, digest), (opened) => ({ ...opened, offset: 0 })),
  names: attempts.attempt("list", attempts.root, async () =>
    ((await unlessMissing(fs.readdir(path.join(attempts.root, "blobs", "sha256")))) ?? []).sort()
  )
})

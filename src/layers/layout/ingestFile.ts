/**
 * Files under way into a layout: `ingest/<name>_effect-<random>`, beside the blobs so that a rename makes them visible.
 *
 * The file is locked as long as somebody writes it, so that any opener of the store can tell what a dead process left from what
 * a living one is writing.
 */
import { Effect, type Scope } from "effect"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { ContentStoreFailed } from "../../services/ContentStore.ts"
import { tryLock } from "../native/flock.ts"
import { type Attempts, type Operation, unlessMissing } from "./layoutFailure.ts"

export interface IngestFile {
  readonly handle: fs.FileHandle
  /** Makes the content visible under `target`, durably: it has been synced, and so has the directory it appears in. */
  commit(target: string, mode: number): Effect.Effect<void, ContentStoreFailed>
}

const ownName = /_effect-[0-9a-f]{16}$/

/** How old a file must be that another program left: it may not lock its files. */
const foreignAgeMillis = 24 * 60 * 60 * 1000

export const syncDirectory = async (directory: string): Promise<void> => {
  const handle = await fs.open(directory, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

interface LockedFile {
  readonly file: string
  readonly handle: fs.FileHandle
}

/** A sweep may catch the new file in the instant before it is locked; then another name is tried. */
const createLocked = async (directory: string, name: string): Promise<LockedFile> => {
  for (;;) {
    const file = path.join(directory, `${name}_effect-${randomBytes(8).toString("hex")}`)
    const handle = await fs.open(file, "wx+", 0o600)
    try {
      if (tryLock(handle.fd) && (await handle.stat()).nlink > 0) return { file, handle }
      await handle.close()
    } catch (cause) {
      await handle.close()
      await fs.rm(file, { force: true })
      throw cause
    }
  }
}

/** Opens a new file; it is gone with the scope unless it was committed. */
export const openIngestFile = (
  { root, attempt }: Attempts,
  operation: Operation,
  reference: string,
  name: string
): Effect.Effect<IngestFile, ContentStoreFailed, Scope.Scope> =>
  Effect.acquireRelease(
    attempt(operation, reference, async () => {
      const directory = path.join(root, "ingest")
      await fs.mkdir(directory, { recursive: true })
      return createLocked(directory, name)
    }),
    ({ file, handle }) =>
      Effect.promise(async () => {
        await fs.rm(file, { force: true })
        await handle.close()
      })
  ).pipe(
    Effect.map(({ file, handle }) => ({
      handle,
      commit: (target, mode) =>
        Effect.uninterruptible(
          attempt(operation, reference, async () => {
            await handle.chmod(mode)
            await handle.sync()
            await fs.rename(file, target)
            await syncDirectory(path.dirname(target))
          })
        )
    }))
  )

/** Removes what no living process is writing. */
export const sweepIngestFiles = ({ root, attempt }: Attempts): Effect.Effect<void, ContentStoreFailed> =>
  attempt("open", root, async () => {
    const directory = path.join(root, "ingest")
    for (const name of (await unlessMissing(fs.readdir(directory))) ?? []) {
      await sweepFile(path.join(directory, name), Date.now() - foreignAgeMillis)
    }
  })

const sweepFile = async (file: string, foreignBefore: number): Promise<void> => {
  const found = await unlessMissing(fs.lstat(file))
  if (!found?.isFile() || (!ownName.test(file) && found.mtimeMs > foreignBefore)) return
  const handle = await unlessMissing(fs.open(file, "r"))
  if (handle === undefined) return
  try {
    if (tryLock(handle.fd)) await fs.rm(file, { force: true })
  } finally {
    await handle.close()
  }
}

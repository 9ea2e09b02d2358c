/**
 * A layer that lies in a file.
 */
import { Effect, type Scope, Schema } from "effect"
import { constants } from "node:fs"
import * as fs from "node:fs/promises"
import { causeMessage } from "../../services/causeMessage.ts"
import type { LayerBytes } from "../../services/ZtocReader.ts"
import { fileRanges } from "../fileBlob.ts"

/** A file given by the user cannot be used. */
export class FileFailed extends Schema.TaggedError<FileFailed>()("FileFailed", {
  operation: Schema.Literals(["open", "read", "write"]),
  path: Schema.String,
  reason: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `cannot ${this.operation} ${this.path}: ${this.reason}`
  }
}

export const fileFailed = (operation: FileFailed["operation"], path: string) => (cause: unknown) =>
  new FileFailed({ operation, path, reason: causeMessage(cause), cause })

export interface OpenFile {
  readonly handle: fs.FileHandle
  readonly size: number
}

const open = async (path: string): Promise<OpenFile> => {
  // What the name leads to may be a pipe, and must not block.
  const handle = await fs.open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const stat = await handle.stat()
  if (stat.isFile()) return { handle, size: stat.size }
  await handle.close()
  throw new Error("it is not a regular file")
}

/** Opens a regular file for reading until the scope ends. */
export const openFile = (path: string): Effect.Effect<OpenFile, FileFailed, Scope.Scope> =>
  Effect.acquireRelease(Effect.tryPromise({ try: () => open(path), catch: fileFailed("open", path) }), ({ handle }) =>
    Effect.promise(() => handle.close())
  )

export const openLayerFile = (path: string): Effect.Effect<LayerBytes, FileFailed, Scope.Scope> =>
  Effect.map(openFile(path), ({ handle, size }) => ({
    location: path,
    size,
    read: fileRanges(size, path, handle)
  }))

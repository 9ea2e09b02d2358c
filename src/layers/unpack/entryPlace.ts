/**
 * Where an entry goes, by its name alone.
 */
import { posix } from "node:path"
import type { ByteString } from "../../services/Ztoc.ts"

/** A clean path in two: all but the last part, and that. */
export interface EntryPlace {
  readonly path: ByteString
  readonly parent: ByteString
  readonly base: ByteString
}

/** Names are cleaned by their text alone, as the reference does; `..` stops at the root. The root itself has no base. */
export const placeOf = (name: ByteString): EntryPlace => {
  const path = posix.resolve("/", name).slice(1)
  const slash = path.lastIndexOf("/")
  return { path, parent: slash < 0 ? "" : path.slice(0, slash), base: path.slice(slash + 1) }
}

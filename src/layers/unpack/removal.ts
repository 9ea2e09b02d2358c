/**
 * Removes names with all that is below them, never through a link.
 */
import type { ByteString } from "../../services/Ztoc.ts"
import { close, namesIn, Open, openAt, removeDirectory, unlink } from "../native/fileSystem.ts"
import { check, checked, EntryProblem, Errno } from "./EntryProblem.ts"
import type { TouchedNames } from "./TouchedNames.ts"

/** Each level holds a descriptor. Links can make trees deeper than any path. */
const maxDepth = 2048

const readFlags = Open.readOnly | Open.directory | Open.noFollow

/** Removes a name, whatever it is. `touched` forgets the directories that go. */
export const removeTree = (directory: number, name: ByteString, touched?: TouchedNames): void => {
  removeSome(directory, name, touched, false, 0)
}

/** Removes what earlier layers left of a name: all but what the running one has put there. */
export const removeEarlier = (directory: number, name: ByteString, touched: TouchedNames): void => {
  removeSome(directory, name, touched, true, 0)
}

/** Removes what earlier layers left inside a directory. */
export const clearEarlier = (directory: number, touched: TouchedNames): void => {
  const descriptor = check("open a directory", openAt(directory, ".", readFlags))
  try {
    removeChildren(descriptor, touched, true, 0)
  } finally {
    close(descriptor)
  }
}

/** Answers whether the name is gone. */
const removeSome = (
  directory: number,
  name: ByteString,
  touched: TouchedNames | undefined,
  spare: boolean,
  depth: number
): boolean => {
  if (depth > maxDepth) throw new EntryProblem(`remove "${name}"`, `directories nested more than ${maxDepth} deep`)
  const spared = spare && touched?.in(directory).has(name) === true
  const isGone = spared ? -Errno.isDirectory : unlink(directory, name)
  if (isGone === 0 || isGone === -Errno.notFound) return true
  if (isGone !== -Errno.isDirectory) check(`remove "${name}"`, isGone)
  const descriptor = openAt(directory, name, readFlags)
  // What is spared may be no directory: nothing of it goes.
  if (spared && descriptor < 0) return false
  check(`open the directory "${name}"`, descriptor)
  try {
    if (!removeChildren(descriptor, touched, spare, depth + 1) || spared) return false
    touched?.forget(descriptor)
  } finally {
    close(descriptor)
  }
  check(`remove the directory "${name}"`, removeDirectory(directory, name))
  return true
}

/** Answers whether nothing is left. */
const removeChildren = (
  descriptor: number,
  touched: TouchedNames | undefined,
  spare: boolean,
  depth: number
): boolean => {
  let empty = true
  for (const child of checked("list a directory", namesIn(descriptor))) {
    if (!removeSome(descriptor, child, touched, spare, depth)) empty = false
  }
  return empty
}

/**
 * Why a tar entry could not be applied: thrown in the unpacking thread, turned into an `UnpackFailed` outside of it.
 */
import { getSystemErrorMessage, getSystemErrorName } from "node:util"

export const Errno = {
  notFound: 2,
  again: 11,
  exists: 17,
  notDirectory: 20,
  isDirectory: 21,
  notPermitted: 1,
  loop: 40,
  notEmpty: 39,
  notSupported: 95
} as const

/** An expected failure; anything else that is thrown is a bug. */
export class EntryProblem extends Error {
  override readonly name = "EntryProblem"
  /** What was attempted, and on what. */
  readonly operation: string
  readonly errno: number | undefined
  constructor(operation: string, reason: string, errno?: number) {
    super(reason)
    this.operation = operation
    this.errno = errno
  }
}

/** What to do, where the error alone does not say it. */
const advice = new Map<string, string>([
  ["EPERM", "owners, devices and capabilities need root and a file system that allows them"],
  ["EACCES", "unpacking needs root"],
  ["ENOSPC", "free some space there"],
  ["EDQUOT", "free some space there"],
  ["ENOSYS", "unpacking needs Linux 5.6 or newer, and a seccomp profile that allows openat2"],
  ["EROFS", "unpack into a place that can be written"]
])

const reasonOf = (errno: number): string => {
  const name = getSystemErrorName(-errno)
  const hint = advice.get(name)
  return `${getSystemErrorMessage(-errno)} (${name})${hint === undefined ? "" : `: ${hint}`}`
}

/** Passes the answer of a system call on, or throws what it failed with. */
export const check = (operation: string, answer: number): number => {
  if (answer < 0) throw new EntryProblem(operation, reasonOf(-answer), -answer)
  return answer
}

/** The same for calls that answer with something else than a number. */
export const checked = <A>(operation: string, answer: A | number): A => {
  if (typeof answer === "number") throw new EntryProblem(operation, reasonOf(-answer), -answer)
  return answer
}

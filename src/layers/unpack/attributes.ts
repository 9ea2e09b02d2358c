/**
 * Owner, extended attributes, mode and times of an entry, in the order that loses none of them: a change of owner takes set-ID bits and
 * capabilities away.
 */
import type { WhiteoutForm } from "../../services/Unpacker.ts"
import type { ByteString } from "../../services/Ztoc.ts"
import { parsePaxTime, type TarTime } from "../../streams/codec/pax.ts"
import type { TarEntry } from "../../streams/codec/tar.ts"
import {
  chmod,
  chmodAt,
  chown,
  chownAt,
  listXattrsAt,
  removeXattrAt,
  setTimes,
  setTimesAt,
  setXattr,
  setXattrAt,
  statusAt
} from "../native/fileSystem.ts"
import { check, checked, Errno } from "./EntryProblem.ts"

export interface Attributes {
  readonly uid: number
  readonly gid: number
  readonly mode: number
  readonly xattrs: ReadonlyArray<readonly [key: ByteString, value: Uint8Array]>
  /** Two `struct timespec`: access, modification. */
  readonly times: Uint8Array
}

/** GNU tar's, star's and Go's prefix of PAX records that are extended attributes. */
const xattrPrefix = "SCHILY.xattr."

const noXattrs: Attributes["xattrs"] = []

export const attributesOf = (entry: TarEntry, form: WhiteoutForm): Attributes => ({
  uid: entry.uid,
  gid: entry.gid,
  mode: Number(entry.mode & 0o7777n),
  xattrs: entry.records.size === 0 ? noXattrs : xattrsOf(entry, form),
  times: timesOf(entry)
})

/** What would make a directory say something to overlayfs is not for an archive to set. */
const isForbidden = (key: ByteString, form: WhiteoutForm) =>
  key.startsWith("trusted.") || (form === "overlay-userxattr" && key.startsWith("user.overlay."))

const xattrsOf = ({ records }: TarEntry, form: WhiteoutForm): Attributes["xattrs"] =>
  [...records]
    .filter(([key]) => key.startsWith(xattrPrefix))
    .map(([key, value]) => [key.slice(xattrPrefix.length), Buffer.from(value, "latin1")] as const)
    .filter(([key]) => !isForbidden(key, form))

const epoch: TarTime = { seconds: 0n, nanoseconds: 0 }

/** What fits into 63 bits of nanoseconds, which is what containerd keeps; all else is the epoch. */
const lastSecond = 9_223_372_035n

const bounded = (time: TarTime) => (time.seconds < 0n || time.seconds > lastSecond ? epoch : time)

const isLater = (one: TarTime, other: TarTime) =>
  one.seconds > other.seconds || (one.seconds === other.seconds && one.nanoseconds > other.nanoseconds)

/** A file was never read before it was written. */
const timesOf = ({ mtime, records }: TarEntry): Uint8Array => {
  const atime = records.size === 0 ? undefined : parsePaxTime(records.get("atime") ?? "")
  const times = Buffer.allocUnsafe(32)
  const access = bounded(atime !== undefined && isLater(atime, mtime) ? atime : mtime)
  const modification = bounded(mtime)
  times.writeBigInt64LE(access.seconds, 0)
  times.writeBigInt64LE(BigInt(access.nanoseconds), 8)
  times.writeBigInt64LE(modification.seconds, 16)
  times.writeBigInt64LE(BigInt(modification.nanoseconds), 24)
  return times
}

/** For a file that is open for writing, once all is written. */
export const setOnFile = (descriptor: number, { uid, gid, mode, xattrs, times }: Attributes): void => {
  check(`change the owner to ${uid}:${gid}`, chown(descriptor, uid, gid))
  for (const [key, value] of xattrs) checkXattr(key, setXattr(descriptor, key, value), true)
  check(`change the mode to ${octal(mode)}`, chmod(descriptor, mode))
  check("set the times", setTimes(descriptor, times))
}

export type NamedKind = "directory" | "symlink" | "special"

/** For all else. Times of directories are for the end: whatever is made inside changes them. */
export const setOnName = (directory: number, name: ByteString, kind: NamedKind, attributes: Attributes): void => {
  const { uid, gid, mode, xattrs, times } = attributes
  check(`change the owner to ${uid}:${gid}`, chownAt(directory, name, uid, gid))
  for (const [key, value] of xattrs) checkXattr(key, setXattrAt(directory, name, key, value), kind === "directory")
  if (kind !== "symlink") check(`change the mode to ${octal(mode)}`, chmodAt(directory, name, mode))
  if (kind !== "directory") check("set the times", setTimesAt(directory, name, times))
}

/**
 * For another name of a file: the last header counts, as in containerd. An owner that stays is not set again, because that would
 * take away capabilities which this header does not repeat.
 */
export const setOnLink = (directory: number, name: ByteString, isSymlink: boolean, attributes: Attributes): void => {
  const { uid, gid, mode, xattrs, times } = attributes
  const status = checked("look at it", statusAt(directory, name))
  if (status.uid !== uid || status.gid !== gid) {
    check(`change the owner to ${uid}:${gid}`, chownAt(directory, name, uid, gid))
  }
  for (const [key, value] of xattrs) checkXattr(key, setXattrAt(directory, name, key, value), !isSymlink)
  if (!isSymlink) check(`change the mode to ${octal(mode)}`, chmodAt(directory, name, mode))
  check("set the times", setTimesAt(directory, name, times))
}

/** Takes away what an earlier layer has set on a directory that stays. What only the system sets is none of ours. */
export const clearXattrs = (directory: number, name: ByteString): void => {
  const keys = listXattrsAt(directory, name)
  if (keys === -Errno.notSupported) return
  for (const key of checked("list the extended attributes", keys)) {
    if (key.startsWith("trusted.") || key === "security.selinux") continue
    check(`remove the extended attribute ${key}`, removeXattrAt(directory, name, key))
  }
}

/** `user.` attributes exist on files and directories only; some file systems have none at all. */
const checkXattr = (key: ByteString, answer: number, isFileOrDirectory: boolean): void => {
  if (answer === -Errno.notSupported) return
  if (answer === -Errno.notPermitted && key.startsWith("user.") && !isFileOrDirectory) return
  check(`set the extended attribute ${key}`, answer)
}

const octal = (mode: number) => `0${mode.toString(8)}`

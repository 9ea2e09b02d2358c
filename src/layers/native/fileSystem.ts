/**
 * The file-system calls of Linux that node:fs does not have: relative to open directories, on symbolic links themselves, for devices and
 * extended attributes.
 *
 * Every call answers as the kernel does: zero or more, or a negative errno. Names are `ByteString`s. Synchronous, for
 * worker threads; libc and its functions are bound on the first call.
 */
import { answered, koffi } from "./koffi.ts"
import { constants } from "node:fs"
import type { ByteString } from "../../services/Ztoc.ts"

export const Open = {
  readOnly: constants.O_RDONLY,
  writeOnly: constants.O_WRONLY,
  create: constants.O_CREAT,
  exclusive: constants.O_EXCL,
  directory: constants.O_DIRECTORY,
  noFollow: constants.O_NOFOLLOW,
  /** Only a place, neither to read nor to write (open(2), O_PATH). */
  path: 0o10000000
} as const

/** Always set, so that no child process inherits a descriptor. */
const closeOnExec = 0o2000000

export const FileType = {
  mask: constants.S_IFMT,
  directory: constants.S_IFDIR,
  symlink: constants.S_IFLNK,
  character: constants.S_IFCHR,
  block: constants.S_IFBLK,
  fifo: 0o010000
} as const

const symlinkNoFollow = 0x100
const removeDirectoryFlag = 0x200
const emptyPath = 0x1000

/** openat2(2) has this number everywhere; RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS. */
const openat2Number = 437
const resolveInRoot = 0x10n | 0x02n

const mknodatNumbers: Readonly<Record<string, number>> = { x64: 259, arm64: 33, riscv64: 33, loong64: 33 }

/** struct statx is the same on all machines (linux/stat.h). */
const statxAt = {
  uid: 20,
  gid: 24,
  mode: 28,
  inode: 32,
  accessTime: 64,
  modificationTime: 112,
  deviceMajor: 128,
  fileSystemMajor: 136
} as const
const statxBasic = 0x7ff

type Int = (...args: ReadonlyArray<unknown>) => number

const bind = () => {
  const libc = koffi().load(null)
  const int = (prototype: string): Int => libc.func(prototype)
  return {
    close: int("int close(int fd)"),
    ftruncate: int("int ftruncate(int fd, int64_t length)"),
    fchmod: int("int fchmod(int fd, uint32_t mode)"),
    fchmodat: int("int fchmodat(int fd, const void *name, uint32_t mode, int flags)"),
    fchown: int("int fchown(int fd, uint32_t uid, uint32_t gid)"),
    fchownat: int("int fchownat(int fd, const void *name, uint32_t uid, uint32_t gid, int flags)"),
    fsetxattr: int("int fsetxattr(int fd, const void *key, const void *value, size_t size, int flags)"),
    futimens: int("int futimens(int fd, const void *times)"),
    getdents: int("int64_t getdents64(int fd, void *buffer, size_t size)"),
    linkat: int("int linkat(int from, const void *name, int to, const void *newName, int flags)"),
    llistxattr: int("int64_t llistxattr(const void *path, void *buffer, size_t size)"),
    lremovexattr: int("int lremovexattr(const void *path, const void *key)"),
    lsetxattr: int("int lsetxattr(const void *path, const void *key, const void *value, size_t size, int flags)"),
    mkdirat: int("int mkdirat(int fd, const void *name, uint32_t mode)"),
    mknodat: int("long syscall(long number, int fd, const void *name, uint32_t mode, uint32_t device)"),
    openat: int("int openat(int fd, const void *name, int flags, uint32_t mode)"),
    openat2: int("long syscall(long number, int fd, const void *name, const void *how, size_t size)"),
    pwrite: int("int64_t pwrite64(int fd, const void *bytes, size_t length, int64_t offset)"),
    readlinkat: int("int64_t readlinkat(int fd, const void *name, void *buffer, size_t size)"),
    statx: int("int statx(int fd, const void *name, int flags, uint32_t mask, void *buffer)"),
    symlinkat: int("int symlinkat(const void *target, int fd, const void *name)"),
    unlinkat: int("int unlinkat(int fd, const void *name, int flags)"),
    utimensat: int("int utimensat(int fd, const void *name, const void *times, int flags)")
  }
}

let bound: ReturnType<typeof bind> | undefined
const calls = () => (bound ??= bind())

const pathMax = 4096
const ENAMETOOLONG = -36

/** One NUL-terminated argument at a time; a text that does not fit is as long as no path may be. */
class TextArgument {
  readonly bytes = Buffer.alloc(pathMax)
  write(text: ByteString): boolean {
    if (text.length >= pathMax) return false
    this.bytes[this.bytes.write(text, "latin1")] = 0
    return true
  }
}
const first = new TextArgument()
const second = new TextArgument()

const withName = (name: ByteString, call: (name: Buffer) => number): number =>
  first.write(name) ? answered(call(first.bytes)) : ENAMETOOLONG

const withNames = (one: ByteString, other: ByteString, call: (one: Buffer, other: Buffer) => number): number =>
  first.write(one) && second.write(other) ? answered(call(first.bytes, second.bytes)) : ENAMETOOLONG

const how = Buffer.alloc(24)

/** Opens a path below a directory that is its root: neither `..` nor any link leads out of it. */
export const openInRoot = (root: number, path: ByteString, flags: number): number => {
  how.writeBigUInt64LE(BigInt(flags | closeOnExec), 0)
  how.writeBigUInt64LE(resolveInRoot, 16)
  return withName(path, (name) => calls().openat2(openat2Number, root, name, how, how.length))
}

export const openAt = (directory: number, name: ByteString, flags: number, mode = 0): number =>
  withName(name, (bytes) => calls().openat(directory, bytes, flags | closeOnExec, mode))

export const close = (descriptor: number): number => answered(calls().close(descriptor))

/** May write less than asked for. */
export const writeAt = (descriptor: number, bytes: Uint8Array, offset: number): number =>
  answered(calls().pwrite(descriptor, bytes, bytes.length, offset))

export const truncate = (descriptor: number, length: number): number => answered(calls().ftruncate(descriptor, length))

export const makeDirectory = (directory: number, name: ByteString, mode: number): number =>
  withName(name, (bytes) => calls().mkdirat(directory, bytes, mode))

export const makeSymlink = (directory: number, name: ByteString, target: ByteString): number =>
  withNames(name, target, (bytes, to) => calls().symlinkat(to, directory, bytes))

/** Links what the first name stands for, a symbolic link itself included. */
export const makeLink = (from: number, target: ByteString, directory: number, name: ByteString): number =>
  withNames(target, name, (to, bytes) => calls().linkat(from, to, directory, bytes, 0))

/** `mode` holds the type; the device number is written as the kernel wants it: 12 bits major, 20 bits minor. */
export const makeNode = (directory: number, name: ByteString, mode: number, major: number, minor: number): number => {
  const number = mknodatNumbers[process.arch]
  if (number === undefined) throw new Error(`the number of mknodat(2) on ${process.arch} is not known`)
  const device = ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0
  return withName(name, (bytes) => calls().mknodat(number, directory, bytes, mode, device))
}

export const unlink = (directory: number, name: ByteString): number =>
  withName(name, (bytes) => calls().unlinkat(directory, bytes, 0))

export const removeDirectory = (directory: number, name: ByteString): number =>
  withName(name, (bytes) => calls().unlinkat(directory, bytes, removeDirectoryFlag))

export const chown = (descriptor: number, uid: number, gid: number): number =>
  answered(calls().fchown(descriptor, uid, gid))

export const chownAt = (directory: number, name: ByteString, uid: number, gid: number): number =>
  withName(name, (bytes) => calls().fchownat(directory, bytes, uid, gid, symlinkNoFollow))

export const chmod = (descriptor: number, mode: number): number => answered(calls().fchmod(descriptor, mode))

/** Follows symbolic links: only for names that are known to be none. */
export const chmodAt = (directory: number, name: ByteString, mode: number): number =>
  withName(name, (bytes) => calls().fchmodat(directory, bytes, mode, 0))

/** Two `struct timespec`: access, modification. */
export const setTimes = (descriptor: number, times: Uint8Array): number => answered(calls().futimens(descriptor, times))

export const setTimesAt = (directory: number, name: ByteString, times: Uint8Array): number =>
  withName(name, (bytes) => calls().utimensat(directory, bytes, times, symlinkNoFollow))

export const setXattr = (descriptor: number, key: ByteString, value: Uint8Array): number =>
  withName(key, (bytes) => calls().fsetxattr(descriptor, bytes, value, value.length, 0))

/** There is no call relative to a directory before Linux 6.13: the path goes through the descriptor, and its last step is not followed. */
const throughDescriptor = (directory: number, name: ByteString) => `/proc/self/fd/${directory}/${name}`

export const setXattrAt = (directory: number, name: ByteString, key: ByteString, value: Uint8Array): number =>
  withNames(throughDescriptor(directory, name), key, (path, bytes) =>
    calls().lsetxattr(path, bytes, value, value.length, 0)
  )

export const removeXattrAt = (directory: number, name: ByteString, key: ByteString): number =>
  withNames(throughDescriptor(directory, name), key, (path, bytes) => calls().lremovexattr(path, bytes))

const list = Buffer.alloc(64 * 1024)

/** The names of all extended attributes, or a negative errno. */
export const listXattrsAt = (directory: number, name: ByteString): ReadonlyArray<ByteString> | number => {
  const length = withName(throughDescriptor(directory, name), (path) => calls().llistxattr(path, list, list.length))
  if (length < 0) return length
  return list.toString("latin1", 0, length).split("\0").slice(0, -1)
}

/** What a symbolic link says, or a negative errno. */
export const readLink = (directory: number, name: ByteString): ByteString | number => {
  const length = withName(name, (bytes) => calls().readlinkat(directory, bytes, list, pathMax))
  return length < 0 ? length : list.toString("latin1", 0, length)
}

export interface FileStatus {
  readonly type: number
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Of a device file. */
  readonly device: { readonly major: number; readonly minor: number }
  /** Tells files apart while they exist. */
  readonly identity: string
  /** Two `struct timespec`: access, modification. */
  readonly times: Uint8Array
}

const statx = Buffer.alloc(256)

/** The status of a name itself, links not followed; of the directory where the name is empty. Or a negative errno. */
export const statusAt = (directory: number, name: ByteString): FileStatus | number => {
  const flags = symlinkNoFollow | emptyPath
  const result = withName(name, (bytes) => calls().statx(directory, bytes, flags, statxBasic, statx))
  if (result < 0) return result
  const mode = statx.readUInt16LE(statxAt.mode)
  return {
    type: mode & FileType.mask,
    mode: mode & 0o7777,
    uid: statx.readUInt32LE(statxAt.uid),
    gid: statx.readUInt32LE(statxAt.gid),
    device: { major: statx.readUInt32LE(statxAt.deviceMajor), minor: statx.readUInt32LE(statxAt.deviceMajor + 4) },
    identity:
      statx.toString("latin1", statxAt.inode, statxAt.inode + 8) + statx.readBigUInt64LE(statxAt.fileSystemMajor),
    times: Buffer.concat([timespecAt(statxAt.accessTime), timespecAt(statxAt.modificationTime)])
  }
}

/** struct statx_timestamp has 32 bits of nanoseconds and 32 of nothing, where struct timespec has 64. */
const timespecAt = (offset: number): Buffer => {
  const timespec = Buffer.from(statx.subarray(offset, offset + 16))
  timespec.writeUInt32LE(0, 12)
  return timespec
}

/** The names in a directory, or a negative errno. */
export const namesIn = (directory: number): ReadonlyArray<ByteString> | number => {
  const names: Array<ByteString> = []
  for (;;) {
    const length = answered(calls().getdents(directory, list, list.length))
    if (length < 0) return length
    if (length === 0) return names
    // struct linux_dirent64: inode 8, offset 8, record length 2, type 1, name.
    for (let at = 0; at < length; at += list.readUInt16LE(at + 16)) {
      const name = list.toString("latin1", at + 19, list.indexOf(0, at + 19))
      if (name !== "." && name !== "..") names.push(name)
    }
  }
}

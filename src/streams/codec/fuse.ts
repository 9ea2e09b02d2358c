/**
 * The vocabulary of the FUSE kernel protocol, version 7 (linux/fuse.h): opcodes, the sizes of their requests, flags and errors.
 *
 * Numbers are little-endian: all machines that we run on are.
 */
export const Opcode = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  setxattr: 21,
  getxattr: 22,
  listxattr: 23,
  removexattr: 24,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  access: 34,
  create: 35,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
  fallocate: 43,
  readdirplus: 44,
  rename2: 45,
  copyFileRange: 47,
  tmpfile: 51
} as const

/** Errors of Linux that we answer with or meet. */
export const Errno = {
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  EAGAIN: 11,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EROFS: 30,
  ERANGE: 34,
  ENOSYS: 38,
  ENODATA: 61,
  EPROTO: 71,
  ESTALE: 116
} as const

/** The id of the root in every file system. */
export const rootId = 1

/** struct fuse_in_header and struct fuse_out_header. */
export const requestHeaderBytes = 40
export const replyHeaderBytes = 16

/** The least a request's body must have, where it has one that is read (sizes of the structs, names with their NUL). */
const bodyBytes: ReadonlyMap<number, number> = new Map([
  [Opcode.lookup, 2],
  [Opcode.getxattr, 8 + 2],
  [Opcode.listxattr, 8],
  [Opcode.open, 8],
  [Opcode.opendir, 8],
  [Opcode.read, 40],
  [Opcode.readdir, 40],
  [Opcode.readdirplus, 40],
  [Opcode.init, 16],
  [Opcode.interrupt, 8]
])

export const leastBodyBytes = (opcode: number): number => bodyBytes.get(opcode) ?? 0

const silent: ReadonlySet<number> = new Set([Opcode.forget, Opcode.batchForget, Opcode.interrupt])

/** Whether an opcode is never answered. */
export const isSilent = (opcode: number): boolean => silent.has(opcode)

const mutations: ReadonlySet<number> = new Set([
  Opcode.setattr,
  Opcode.symlink,
  Opcode.mknod,
  Opcode.mkdir,
  Opcode.unlink,
  Opcode.rmdir,
  Opcode.rename,
  Opcode.link,
  Opcode.write,
  Opcode.setxattr,
  Opcode.removexattr,
  Opcode.create,
  Opcode.fallocate,
  Opcode.rename2,
  Opcode.copyFileRange,
  Opcode.tmpfile
])

/** Whether an opcode would change a file system. */
export const isMutation = (opcode: number): boolean => mutations.has(opcode)

/** What an answer to OPEN and OPENDIR may say (FOPEN_). */
export const OpenFlag = { directIo: 1 << 0, keepCache: 1 << 1, cacheDirectory: 1 << 3 } as const

/** The file type of a mode as a directory entry holds it (DT_). */
export const direntType = (mode: number): number => (mode & 0o170000) >>> 12

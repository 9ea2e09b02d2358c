/**
 * The add-on of the package fuse-native: libfuse 2's operations by path, called on the main thread, answered when we like.
 *
 * The package's own JavaScript is left aside: it unmounts through a shell, gives up every request after a while, sends more bytes of an
 * attribute than were asked for, and has no option for numbers of inodes. What the add-on wants and gives is in fuse-native.c of 2.2.6.
 */
import { createRequire } from "node:module"
import { dirname } from "node:path"
import { koffi } from "./koffi.ts"
import { attributesWords, encodeAttributes, encodeStatistics } from "../../streams/codec/fuseNative.ts"
import type { FuseAttributes, FuseStatistics } from "../../streams/codec/fuseReply.ts"

/** A request that waits for its answer: a thread of libfuse sleeps for it. It must be answered exactly once. */
type Request = Uint8Array
type Handler = (request: Request, opcode: number, ...values: ReadonlyArray<never>) => void

interface AddOn {
  readonly sizeof_fuse_thread_t: number
  readonly op_init: number
  readonly op_statfs: number
  readonly op_getattr: number
  readonly op_readdir: number
  readonly op_readlink: number
  readonly op_getxattr: number
  readonly op_listxattr: number
  readonly op_open: number
  readonly op_read: number
  fuse_native_mount(
    mountPoint: string,
    options: string,
    thread: Uint8Array,
    context: object,
    allocate: (bytes: number) => Uint8Array,
    handlers: ReadonlyArray<Handler>,
    implemented: Uint32Array
  ): void
  fuse_native_unmount(mountPoint: string, thread: Uint8Array): void
  fuse_native_signal_init(request: Request, result: number): void
  fuse_native_signal_statfs(request: Request, result: number, statistics: Uint32Array): void
  fuse_native_signal_getattr(request: Request, result: number, attributes: Uint32Array): void
  fuse_native_signal_readdir(
    request: Request,
    result: number,
    names: ReadonlyArray<string>,
    attributes: ReadonlyArray<Uint32Array>
  ): void
  fuse_native_signal_readlink(request: Request, result: number, target: string): void
  fuse_native_signal_getxattr(request: Request, result: number, memory: ArrayBufferLike): void
  fuse_native_signal_listxattr(request: Request, result: number, memory: ArrayBufferLike): void
  fuse_native_signal_open(request: Request, result: number, handle: number): void
  fuse_native_signal_read(request: Request, result: number, unused: number, memory: ArrayBufferLike): void
}

/** An entry of a directory, without the dots' special meaning. */
export interface NativeEntry {
  readonly name: string
  readonly attributes: FuseAttributes
}

export interface NativeRead {
  readonly path: string
  /** What `open` said. */
  readonly handle: number
  readonly offset: number
  /** libfuse's memory, as long as what was asked for. Not to be touched once the read is answered. */
  readonly into: Uint8Array
}

/** What a mount answers. A negative number is an errno; what throws is answered with EIO and told to `fault`. */
export interface NativeOperations {
  attributes(path: string): FuseAttributes | number
  list(path: string): ReadonlyArray<NativeEntry> | number
  target(path: string): string | number
  /** The whole value, whatever was asked for. */
  xattr(path: string, key: string): Uint8Array | number
  /** All keys, each with a NUL behind it. */
  xattrs(path: string): Uint8Array | number
  /** A handle below 2^31. */
  open(path: string): number
  /** Answers with the count of bytes. */
  read(read: NativeRead, answer: (result: number) => void): void
  readonly statistics: FuseStatistics
  fault(operation: string, cause: unknown): void
}

const EIO = 5
const ERANGE = 34
const two32 = 2 ** 32

let loaded: AddOn | undefined

/** Throws where the package, its binary or libfuse is missing. */
export const loadFuseNative = (): void => {
  if (loaded !== undefined) return
  const manifest = createRequire(import.meta.url).resolve("fuse-native/package.json")
  const load = createRequire(manifest)("node-gyp-build") as (directory: string) => AddOn
  loaded = load(dirname(manifest))
}

const addOn = (): AddOn => {
  loadFuseNative()
  if (loaded === undefined) throw new Error("fuse-native is not loaded")
  return loaded
}

const noWords = new Uint32Array(attributesWords)

/** The size alone where there is no room at all, else the bytes, if they fit. */
const fill = (room: Uint8Array, found: Uint8Array | number): number => {
  if (typeof found === "number") return found
  if (room.length === 0) return found.length
  if (found.length > room.length) return -ERANGE
  room.set(found)
  return found.length
}

const handlersOf = (native: AddOn, operations: NativeOperations): ReadonlyArray<readonly [number, Handler]> => {
  const words = new Uint32Array(attributesWords)
  const statistics = encodeStatistics(operations.statistics)
  const orFault = <A>(operation: string, call: () => A): A | number => {
    try {
      return call()
    } catch (cause) {
      operations.fault(operation, cause)
      return -EIO
    }
  }
  return [
    [native.op_init, (request: Request) => native.fuse_native_signal_init(request, 0)],
    [native.op_statfs, (request: Request) => native.fuse_native_signal_statfs(request, 0, statistics)],
    [
      native.op_getattr,
      (request: Request, _: number, path: string) => {
        const found = orFault("getattr", () => operations.attributes(path))
        if (typeof found === "number") return native.fuse_native_signal_getattr(request, found, noWords)
        native.fuse_native_signal_getattr(request, 0, encodeAttributes(found, words))
      }
    ],
    [
      native.op_readdir,
      (request: Request, _: number, path: string) => {
        const found = orFault("readdir", () => operations.list(path))
        if (typeof found === "number") return native.fuse_native_signal_readdir(request, found, [], [])
        const names = found.map(({ name }) => name)
        const attributes = found.map((entry) => encodeAttributes(entry.attributes, new Uint32Array(attributesWords)))
        native.fuse_native_signal_readdir(request, 0, names, attributes)
      }
    ],
    [
      native.op_readlink,
      (request: Request, _: number, path: string) => {
        const found = orFault("readlink", () => operations.target(path))
        if (typeof found === "number") return native.fuse_native_signal_readlink(request, found, "")
        native.fuse_native_signal_readlink(request, 0, found)
      }
    ],
    [
      native.op_getxattr,
      (request: Request, _: number, path: string, key: string, room: Uint8Array) => {
        const result = orFault("getxattr", () => fill(room, operations.xattr(path, key)))
        native.fuse_native_signal_getxattr(request, result, room.buffer)
      }
    ],
    [
      native.op_listxattr,
      (request: Request, _: number, path: string, room: Uint8Array) => {
        const result = orFault("listxattr", () => fill(room, operations.xattrs(path)))
        native.fuse_native_signal_listxattr(request, result, room.buffer)
      }
    ],
    [
      native.op_open,
      (request: Request, _: number, path: string) => {
        const handle = orFault("open", () => operations.open(path))
        native.fuse_native_signal_open(request, Math.min(handle, 0), Math.max(handle, 0))
      }
    ],
    [
      native.op_read,
      (
        request: Request,
        _: number,
        path: string,
        handle: number,
        into: Uint8Array,
        __: number,
        low: number,
        high: number
      ) => {
        let answered = false
        const answer = (result: number) => {
          if (answered) return
          answered = true
          native.fuse_native_signal_read(request, result, 0, into.buffer)
        }
        const failed = orFault("read", () =>
          operations.read({ path, handle, offset: low + high * two32, into }, answer)
        )
        if (failed !== undefined) answer(-EIO)
      }
    ]
  ]
}

/** Longest mount point and options that the add-on takes, less the `-o`; more it would cut off. */
export const maxTextBytes = 1021

const F_SETFD = 2
const FD_CLOEXEC = 1

/** Keeps a descriptor from children. */
export const closeOnExec = (descriptor: number): void => {
  const control: (descriptor: number, command: number, flags: number) => number = koffi()
    .load(null)
    .func("int fcntl(int fd, int command, int flags)")
  control(descriptor, F_SETFD, FD_CLOEXEC)
}

/**
 * Mounts by libfuse, which says on standard error why it could not, and throws then. `options` is what follows `-o`. The mount ends when it
 * is unmounted; the answer, called after that, lets the process end.
 */
export const mountNative = (mountPoint: string, options: string, operations: NativeOperations): (() => void) => {
  const native = addOn()
  // The add-on keeps the context for ever, and with it the memory that libfuse's threads write to.
  const thread = Buffer.alloc(native.sizeof_fuse_thread_t)
  const context = { thread }
  const handlers: Array<Handler> = Array.from({ length: 34 }, () => () => undefined)
  const implemented = new Uint32Array(35)
  for (const [opcode, handler] of handlersOf(native, operations)) {
    handlers[opcode] = handler
    implemented[opcode] = 1
  }
  const letGo = () => native.fuse_native_unmount(mountPoint, thread)
  try {
    native.fuse_native_mount(
      mountPoint,
      `-o${options}`,
      thread,
      context,
      (bytes) => Buffer.alloc(bytes),
      handlers,
      implemented
    )
  } catch (cause) {
    letGo()
    throw cause
  }
  return letGo
}

/**
 * mount(2), umount2(2) and the calls that mount step by step (fsopen, fsconfig, fsmount, move_mount), through koffi.
 *
 * What may read from the file system it mounts, or write one back, runs on a thread of libuv's pool, so that the main thread can serve it
 * meanwhile. Every call answers as the kernel does: zero or more, or a negative errno.
 */
import type { KoffiFunc } from "koffi"
import { answered, koffi } from "./koffi.ts"

export const MountFlag = { readOnly: 1, noSuid: 2, noDevices: 4, bind: 4096 } as const
export const UnmountFlag = { detach: 2, noFollow: 8 } as const

/** System calls that libc may lack have the same numbers on all machines but alpha. */
const number = { moveMount: 429, fsopen: 430, fsconfig: 431, fsmount: 432 } as const
const configure = { flag: 0, string: 1, create: 6 } as const
const closeOnExec = 1
const currentDirectory = -100
const emptyPath = 4

type Int = (...args: ReadonlyArray<unknown>) => number
type Text = string | null

const bind = () => {
  const libc = koffi().load(null)
  const int = (prototype: string): Int => libc.func(prototype)
  const mount: KoffiFunc<(source: string, target: string, type: Text, flags: number, data: Text) => number> = libc.func(
    "int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)"
  )
  const unmount: KoffiFunc<(target: string, flags: number) => number> = libc.func(
    "int umount2(const char *target, int flags)"
  )
  const fsconfig: KoffiFunc<
    (number: number, context: number, command: number, key: Text, value: Text, extra: number) => number
  > = libc.func(
    "long syscall(long number, int fd, unsigned int command, const char *key, const char *value, int extra)"
  )
  return {
    mount,
    unmount,
    fsconfig,
    fsopen: int("long syscall(long number, const char *type, unsigned int flags)"),
    fsmount: int("long syscall(long number, int fd, unsigned int flags, unsigned int attributes)"),
    moveMount: int(
      "long syscall(long number, int from, const char *path, int to, const char *target, unsigned int flags)"
    ),
    close: int("int close(int fd)"),
    read: int("int64_t read(int fd, void *buffer, size_t length)")
  }
}

let bound: ReturnType<typeof bind> | undefined
const calls = () => (bound ??= bind())

type Answer = (result: number) => void

/** A failure to make the call at all is answered as EINVAL: arguments were not what the prototype says. */
const whenDone = (answer: Answer) => (error: unknown, result: number) => answer(error === null ? answered(result) : -22)

/** `data` must be shorter than a page. */
export const mount = (
  options: {
    readonly source: string
    readonly target: string
    readonly type: Text
    readonly flags: number
    readonly data: Text
  },
  answer: Answer
): void => {
  const { source, target, type, flags, data } = options
  calls().mount.async(source, target, type, flags, data, whenDone(answer))
}

export const unmount = (target: string, flags: number, answer: Answer): void =>
  calls().unmount.async(target, flags, whenDone(answer))

/** A file system that is being configured; its descriptor must be closed. */
export const openContext = (type: string): number => answered(calls().fsopen(number.fsopen, type, closeOnExec))

export const setFlag = (context: number, key: string): number =>
  answered(calls().fsconfig(number.fsconfig, context, configure.flag, key, null, 0))

export const setText = (context: number, key: string, value: string): number =>
  answered(calls().fsconfig(number.fsconfig, context, configure.string, key, value, 0))

/** Reads the file system's superblock. */
export const createSuperblock = (context: number, answer: Answer): void =>
  calls().fsconfig.async(number.fsconfig, context, configure.create, null, null, 0, whenDone(answer))

/** A mount that is nowhere yet; its descriptor must be closed. */
export const openMount = (context: number, attributes: number): number =>
  answered(calls().fsmount(number.fsmount, context, closeOnExec, attributes))

export const placeMount = (mount: number, target: string): number =>
  answered(calls().moveMount(number.moveMount, mount, "", currentDirectory, target, emptyPath))

export const closeDescriptor = (descriptor: number): void => {
  calls().close(descriptor)
}

/** What the kernel had to say about a context, without its level letters; at most ten lines. */
export const takeMessages = (context: number): ReadonlyArray<string> => {
  const messages: Array<string> = []
  const line = Buffer.alloc(1024)
  while (messages.length < 10) {
    const length = calls().read(context, line, line.length)
    if (length <= 0) break
    messages.push(line.toString("utf8", 2, length).trim())
  }
  return messages
}

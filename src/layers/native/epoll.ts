/**
 * epoll(7) and eventfd(2) through koffi: a thread waits for many descriptors at once, and others wake it.
 */
import { koffi } from "./koffi.ts"

const control = { add: 1, remove: 2 } as const
const closeOnExec = 0o2000000
const nonBlocking = 0o4000
const readable = 0x1
/** Of the threads that wait for the same descriptor, one is woken for each event. */
const exclusive = 1 << 28
const EINTR = 4

/** struct epoll_event is packed on x86-64 only (eventpoll.h). */
const layout = process.arch === "x64" ? { size: 12, key: 4 } : { size: 16, key: 8 }

type Int = (...args: ReadonlyArray<unknown>) => number

const bind = () => {
  const libc = koffi().load(null)
  const int = (prototype: string): Int => libc.func(prototype)
  return {
    close: int("int close(int fd)"),
    create: int("int epoll_create1(int flags)"),
    control: int("int epoll_ctl(int epoll, int operation, int fd, void *event)"),
    wait: int("int epoll_wait(int epoll, void *events, int count, int milliseconds)"),
    eventfd: int("int eventfd(uint32_t initial, int flags)"),
    read: int("int64_t read(int fd, void *buffer, size_t length)"),
    write: int("int64_t write(int fd, const void *bytes, size_t length)")
  }
}

let bound: ReturnType<typeof bind> | undefined
const calls = () => (bound ??= bind())

const succeed = (what: string, result: number): number => {
  if (result >= 0) return result
  throw new Error(`${what} failed with errno ${koffi().errno()}`)
}

/** A set of descriptors to wait for, each under a number of the caller's. Throws where the kernel refuses. */
export class Epoll {
  readonly #descriptor = succeed("epoll_create1", calls().create(closeOnExec))
  readonly #change = Buffer.alloc(layout.size)
  readonly #events = Buffer.alloc(layout.size * 64)

  /** Waits for `descriptor` to be readable or broken. `shared`: other threads wait for it too, and one of them is enough. */
  add(descriptor: number, key: number, shared: boolean): void {
    this.#change.writeUInt32LE(shared ? readable | exclusive : readable, 0)
    this.#change.writeUInt32LE(key, layout.key)
    succeed("epoll_ctl", calls().control(this.#descriptor, control.add, descriptor, this.#change))
  }

  remove(descriptor: number): void {
    succeed("epoll_ctl", calls().control(this.#descriptor, control.remove, descriptor, this.#change))
  }

  /** Blocks the thread until something is ready; returns how many, for `keyAt`. */
  wait(): number {
    const ready = calls().wait(this.#descriptor, this.#events, this.#events.length / layout.size, -1)
    if (ready < 0 && koffi().errno() === EINTR) return 0
    return succeed("epoll_wait", ready)
  }

  keyAt(index: number): number {
    return this.#events.readUInt32LE(index * layout.size + layout.key)
  }

  close(): void {
    calls().close(this.#descriptor)
  }
}

const one = Buffer.alloc(8)
one.writeBigUInt64LE(1n)
const drained = Buffer.alloc(8)

/** A descriptor that becomes readable when any thread rings it. */
export const makeBell = (): number => succeed("eventfd", calls().eventfd(0, closeOnExec | nonBlocking))

/** Never blocks: a bell that has been rung 2^64 - 2 times is readable anyway. */
export const ring = (bell: number): void => {
  calls().write(bell, one, one.length)
}

/** Makes the bell quiet again. */
export const quiet = (bell: number): void => {
  calls().read(bell, drained, drained.length)
}

export const closeBell = (bell: number): void => {
  calls().close(bell)
}

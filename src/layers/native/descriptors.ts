/**
 * Reading and writing open descriptors through koffi: for the threads that serve /dev/fuse, where node:fs would throw an error with a
 * stack at every EAGAIN.
 *
 * Every call answers as the kernel does: bytes, or a negative errno. Synchronous; libc's functions are bound on the first call of each
 * thread.
 */
import { answered, koffi } from "./koffi.ts"

type Call = (descriptor: number, bytes: Uint8Array, length: number, offset?: number) => number

interface Calls {
  readonly read: Call
  readonly write: Call
  readonly pread: Call
}

let bound: Calls | undefined

const bind = (): Calls => {
  const libc = koffi().load(null)
  return {
    read: libc.func("int64_t read(int fd, void *buffer, size_t length)"),
    write: libc.func("int64_t write(int fd, const void *bytes, size_t length)"),
    pread: libc.func("int64_t pread64(int fd, void *buffer, size_t length, int64_t offset)")
  }
}

const calls = (): Calls => (bound ??= bind())

/** read(2) of at most `length` bytes to the start of the buffer. */
export const read = (descriptor: number, buffer: Uint8Array, length: number): number =>
  answered(calls().read(descriptor, buffer, Math.min(length, buffer.length)))

/** write(2) of the first `length` bytes. */
export const write = (descriptor: number, bytes: Uint8Array, length: number): number =>
  answered(calls().write(descriptor, bytes, Math.min(length, bytes.length)))

/** pread(2) of at most `length` bytes to the start of the buffer; fewer only where the file ends. */
export const readAt = (descriptor: number, buffer: Uint8Array, length: number, offset: number): number =>
  answered(calls().pread(descriptor, buffer, Math.min(length, buffer.length), offset))

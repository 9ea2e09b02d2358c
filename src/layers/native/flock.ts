/**
 * flock(2) through koffi: locks on open files that the kernel gives up when their holder dies, however it dies.
 *
 * A lock belongs to the open file description: two descriptors of one process exclude each other like two processes do.
 */
import { koffi } from "./koffi.ts"

const shared = 1
const exclusive = 2
const withoutWaiting = 4

let flock: ((descriptor: number, operation: number) => number) | undefined

/**
 * Locks an open file or directory for its holder alone, until its descriptor is closed. Returns false where another has
 * it locked; throws where the file system has no locks.
 */
export const tryLock = (descriptor: number): boolean => lock(descriptor, exclusive)

/** The same for holders in common, who keep out only one who wants it alone. */
export const tryLockShared = (descriptor: number): boolean => lock(descriptor, shared)

const lock = (descriptor: number, kind: number): boolean => {
  flock ??= koffi().load(null).func("int flock(int descriptor, int operation)")
  if (flock(descriptor, kind | withoutWaiting) === 0) return true
  const errno = koffi().errno()
  if (errno === koffi().os.errno["EWOULDBLOCK"] || errno === koffi().os.errno["EINTR"]) return false
  throw new Error(`flock failed with errno ${errno}`)
}

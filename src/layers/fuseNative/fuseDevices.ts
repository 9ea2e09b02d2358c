/**
 * Which descriptors of this process are /dev/fuse: libfuse says neither which one it opened nor when it has closed it.
 */
import { readdirSync, readlinkSync } from "node:fs"

const directory = "/proc/self/fd"

/** False also for a number that is not open. */
export const isFuseDevice = (descriptor: number): boolean => {
  try {
    return readlinkSync(`${directory}/${descriptor}`) === "/dev/fuse"
  } catch {
    return false
  }
}

export const openFuseDevices = (): ReadonlySet<number> =>
  new Set(readdirSync(directory).map(Number).filter(isFuseDevice))

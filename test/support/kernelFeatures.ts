/**
 * What the machine must have for tests of mounts.
 */
import { existsSync, readFileSync } from "node:fs"
import { release } from "node:os"

const isRoot = process.getuid?.() === 0
const fileSystems = existsSync("/proc/filesystems") ? readFileSync("/proc/filesystems", "utf8").split(/\s+/) : []
const [major = 0, minor = 0] = release().split(".").map(Number)

export const canFuse = isRoot && existsSync("/dev/fuse")
export const canOverlay = isRoot && fileSystems.includes("overlay")
/** EROFS that is read from files (Linux 6.12). */
export const canErofs = canFuse && fileSystems.includes("erofs") && (major > 6 || (major === 6 && minor >= 12))

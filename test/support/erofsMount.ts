/**
 * Mounts EROFS images from plain files, as the kernel alone can (mount(2), Linux 6.12).
 */
import { Effect } from "effect"
import * as fs from "node:fs"
import { release, tmpdir } from "node:os"
import * as path from "node:path"
import { mountScoped } from "../../src/layers/kernelMount.ts"
import { MountFlag } from "../../src/layers/native/mount.ts"
import { temporaryDirectory } from "./temporaryDirectory.ts"

const tmpfsMagic = 0x0102_1994
const mayAdministrate = 1n << 21n

const hasCapability = (): boolean => {
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(fs.readFileSync("/proc/self/status", "latin1"))?.[1] ?? "0"
  return (BigInt(`0x${effective}`) & mayAdministrate) !== 0n
}

/** What this machine lacks, if anything. */
const findObstacle = (): string | undefined => {
  if (process.platform !== "linux") return "needs Linux"
  const [major = 0, minor = 0] = release().split(".").map(Number)
  if (major < 6 || (major === 6 && minor < 12)) return "needs Linux 6.12 or newer"
  if (!/\terofs$/m.test(fs.readFileSync("/proc/filesystems", "latin1"))) return "needs a kernel with EROFS"
  if (!hasCapability()) return "needs root"
  if (fs.statfsSync(tmpdir()).type === tmpfsMagic) return "needs TMPDIR on a disk: EROFS cannot read images on tmpfs"
  return undefined
}

export const noErofsMounts = findObstacle()

export const directoryIn = (parent: string, name: string): Effect.Effect<string> =>
  Effect.sync(() => {
    const made = path.join(parent, name)
    fs.mkdirSync(made)
    return made
  })

/** Bytes of a stream that is zero elsewhere. */
export interface Piece {
  readonly at: number
  readonly bytes: Uint8Array
}

export interface StreamContent {
  readonly size: number
  readonly pieces: ReadonlyArray<Piece>
}

const writeStream = (file: string, { size, pieces }: StreamContent): void => {
  const descriptor = fs.openSync(file, "w")
  try {
    fs.ftruncateSync(descriptor, size)
    for (const { at, bytes } of pieces) fs.writeSync(descriptor, bytes, 0, bytes.length, at)
  } finally {
    fs.closeSync(descriptor)
  }
}

/** Image and stream as files. */
export const erofsFiles = Effect.fnUntraced(function* (image: Uint8Array, stream: StreamContent) {
  const directory = yield* temporaryDirectory
  const files = { image: path.join(directory, "image"), stream: path.join(directory, "stream") }
  yield* Effect.sync(() => {
    fs.writeFileSync(files.image, image)
    writeStream(files.stream, stream)
  })
  return files
})

/** The directory where an image is mounted as long as the scope is open. */
export const mountErofs = Effect.fnUntraced(function* (image: Uint8Array, stream: StreamContent) {
  const files = yield* erofsFiles(image, stream)
  // Below a directory of its own, which is removed after the mount.
  const mountPoint = yield* directoryIn(yield* temporaryDirectory, "mounted")
  yield* mountScoped({
    type: "erofs",
    fileSystem: "erofs",
    source: files.image,
    mountPoint,
    flags: MountFlag.readOnly,
    data: `device=${files.stream}`
  })
  return mountPoint
})

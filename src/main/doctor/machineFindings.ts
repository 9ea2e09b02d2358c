/**
 * What the machine has beside its kernel: native code, and a root directory that can hold what is fetched.
 */
import { Effect, Layer } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as InflateIsal from "../../layers/InflateIsal.ts"
import * as InflatePako from "../../layers/InflatePako.ts"
import * as InflateZlib from "../../layers/InflateZlib.ts"
import { koffi } from "../../layers/native/koffi.ts"
import { causeMessage } from "../../services/causeMessage.ts"
import { formatBytes } from "../demo/progress.ts"
import { broken, type Finding, found, missing, type Subject } from "./Finding.ts"

const nativeCalls: Subject = { subject: "koffi", needed: true }
const rootDirectory: Subject = { subject: "root directory", needed: true }

const koffiFinding = Effect.sync((): Finding => {
  try {
    return found(nativeCalls, `calls of the system's libraries work (koffi ${koffi().version})`)
  } catch (cause) {
    const detail = `nothing can be mounted without calls of the system's libraries: ${causeMessage(cause)}`
    return broken(nativeCalls, detail, "npm install koffi, on a machine of the same kind as this one")
  }
})

/** Each inflater has to inflate a known sample. The last of them needs nothing from the machine. */
const inflaters = [
  {
    subject: "ISA-L",
    needed: false,
    layer: InflateIsal.layer,
    speed: "the fastest inflater",
    remedy: "apt-get install libisal2"
  },
  {
    subject: "zlib of Node",
    needed: false,
    layer: InflateZlib.layer,
    speed: "ztocs are built and spans inflated with it",
    remedy: "Node from nodejs.org, which lets its zlib be called"
  },
  {
    subject: "pako",
    needed: true,
    layer: InflatePako.layer,
    speed: "the inflater where there is no other",
    remedy: "npm install pako"
  }
] as const

const inflaterFindings = Effect.forEach(inflaters, ({ layer, speed, remedy, ...subject }) =>
  Effect.scoped(Layer.build(layer)).pipe(
    Effect.as(found(subject, `${speed}: it inflates the known sample`)),
    Effect.catch((error) => Effect.succeed(missing(subject, error.message, remedy)))
  )
)

/** Below this, hardly an image's layers fit. */
const leastFreeBytes = 1024 ** 3

const holeBytes = 64 * 1024 * 1024

/** Whether a file takes no more room than what was written into it. */
const supportsHoles = async (directory: string): Promise<boolean> => {
  const scratch = await fs.mkdtemp(path.join(directory, ".doctor-"))
  try {
    const file = path.join(scratch, "hole")
    const handle = await fs.open(file, "wx")
    try {
      await handle.truncate(holeBytes)
      return (await handle.stat()).blocks * 512 < holeBytes / 2
    } finally {
      await handle.close()
    }
  } finally {
    await fs.rm(scratch, { recursive: true, force: true })
  }
}

const examineRoot = async (root: string): Promise<Finding> => {
  const { bavail, bsize } = await fs.statfs(root)
  const free = bavail * bsize
  const space = `${formatBytes(free)} free in ${root}`
  if (!(await supportsHoles(root))) {
    return broken(
      rootDirectory,
      `${space}; its file system has no holes, so that a layer takes its whole size at once`,
      "give --root on ext4, xfs, btrfs or tmpfs"
    )
  }
  if (free < leastFreeBytes) return broken(rootDirectory, space, "make room, or give --root on a larger file system")
  return found(rootDirectory, `${space}, writable, with holes`)
}

const remedyFor = (root: string): string =>
  process.getuid?.() === 0 ? `make ${root} writable, or give another --root` : "run it as root, or give another --root"

/** A root that is not there yet is judged by the directory it will be made in. */
const examineRootOrParent = async (root: string): Promise<Finding> => {
  const isThere = await fs.stat(root).then(
    () => true,
    () => false
  )
  if (isThere) return await examineRoot(root)
  const finding = await examineRoot(path.dirname(path.resolve(root)))
  return { ...finding, detail: `${root} will be made by the first command; ${finding.detail}` }
}

const rootFinding = (root: string): Effect.Effect<Finding> =>
  Effect.tryPromise({ try: () => examineRootOrParent(root), catch: (cause) => cause }).pipe(
    Effect.catch((cause) => Effect.succeed(broken(rootDirectory, causeMessage(cause), remedyFor(root))))
  )

export const machineFindings = (root: string): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    return [yield* koffiFinding, ...(yield* inflaterFindings), yield* rootFinding(root)]
  })

/**
 * Whether this kernel can mount what we mount: each is tried, in a directory that is gone afterwards.
 */
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import { release, tmpdir } from "node:os"
import * as path from "node:path"
import { startErofsHost } from "../../layers/erofs/ErofsHost.ts"
import * as FuseDriverKernel from "../../layers/FuseDriverKernel.ts"
import * as OverlayMounterLive from "../../layers/OverlayMounterLive.ts"
import { causeMessage } from "../../services/causeMessage.ts"
import { FuseDriver } from "../../services/FuseDriver.ts"
import { OverlayMounter } from "../../services/OverlayMounter.ts"
import { broken, type Finding, found, missing, type Subject } from "./Finding.ts"

const kernel: Subject = { subject: "kernel", needed: true }
const fuse: Subject = { subject: "FUSE", needed: true }
const overlay: Subject = { subject: "overlay", needed: true }
const erofs: Subject = { subject: "EROFS", needed: false }
const resend: Subject = { subject: "FUSE resend", needed: false }

const isAtLeast = (version: string, major: number, minor: number): boolean => {
  const [ownMajor = 0, ownMinor = 0] = version.split(".").map((part) => Number.parseInt(part, 10))
  return ownMajor > major || (ownMajor === major && ownMinor >= minor)
}

const scratchDirectory = Effect.acquireRelease(
  Effect.promise(() => fs.mkdtemp(path.join(tmpdir(), "soci-doctor-"))),
  // What is still mounted is not looked into.
  (directory) =>
    Effect.ignore(
      Effect.tryPromise(async () => {
        for (const name of await fs.readdir(directory)) await fs.rmdir(path.join(directory, name))
        await fs.rmdir(directory)
      })
    )
)

const directoryIn = Effect.fnUntraced(function* (parent: string, name: string) {
  const directory = path.join(parent, name)
  yield* Effect.promise(() => fs.mkdir(directory))
  return directory
})

const asRoot = process.getuid?.() === 0

const kernelFinding = (version: string): Finding =>
  isAtLeast(version, 5, 4)
    ? found(kernel, `Linux ${version}`)
    : broken(kernel, `Linux ${version} does not cache FUSE files as we need it`, "Linux 5.4 or newer, 6.12 for EROFS")

const resendFinding = (version: string): Finding =>
  isAtLeast(version, 6, 9)
    ? found(resend, "requests that a killed server had taken can be sent again")
    : missing(
        resend,
        `Linux ${version} cannot send requests again: reads under way fail when the server is killed`,
        "Linux 6.9 or newer"
      )

const fuseRemedy = asRoot ? "modprobe fuse; in a container, give it /dev/fuse" : "run it as root"

const fuseFinding = Effect.gen(function* () {
  const directory = yield* scratchDirectory
  const mountPoint = yield* directoryIn(directory, "fuse")
  yield* FuseDriver.use((driver) => driver.mountBlobs({ mountPoint, source: "soci" }))
  return found(fuse, "/dev/fuse serves a mount")
}).pipe(
  Effect.scoped,
  Effect.catch((error) => Effect.succeed(broken(fuse, error.message, fuseRemedy)))
)

const hasFuseDevice = Effect.promise(() =>
  fs.access("/dev/fuse", fs.constants.R_OK | fs.constants.W_OK).then(
    () => true,
    () => false
  )
)

const overlayFinding = Effect.gen(function* () {
  const directory = yield* scratchDirectory
  const lowerDirs = [yield* directoryIn(directory, "upper"), yield* directoryIn(directory, "lower")]
  const mountPoint = yield* directoryIn(directory, "merged")
  yield* OverlayMounter.use((mounter) => mounter.mount({ lowerDirs, mountPoint }))
  return found(overlay, "layers can be stacked")
}).pipe(
  Effect.scoped,
  Effect.catch((error) =>
    Effect.succeed(broken(overlay, error.message, asRoot ? "modprobe overlay" : "run it as root"))
  ),
  Effect.provide(OverlayMounterLive.layer)
)

const erofsFinding = Effect.gen(function* () {
  const directory = yield* scratchDirectory
  // In a scope of its own: the mounts go before the directory.
  yield* Effect.scoped(startErofsHost(path.join(directory, "erofs")))
  return found(erofs, "layers are mounted from files: cached reads never leave the kernel")
}).pipe(
  Effect.scoped,
  Effect.catch((error) =>
    Effect.succeed(
      missing(
        erofs,
        `${error.message}; layers are mounted by FUSE, which is slower`,
        "modprobe erofs; Linux 6.12 or newer"
      )
    )
  )
)

export const kernelFindings: Effect.Effect<ReadonlyArray<Finding>> = Effect.gen(function* () {
  const version = release()
  const first = kernelFinding(version)
  if (!(yield* hasFuseDevice)) {
    return [first, missing(fuse, "/dev/fuse cannot be opened: nothing can be mounted lazily", fuseRemedy)]
  }
  return [first, yield* fuseFinding, resendFinding(version), yield* erofsFinding, yield* overlayFinding]
}).pipe(
  Effect.scoped,
  Effect.provide(FuseDriverKernel.layer()),
  Effect.catchDefect((defect) =>
    Effect.succeed([broken(kernel, `nothing can be mounted: ${causeMessage(defect)}`, "npm install koffi")])
  )
)

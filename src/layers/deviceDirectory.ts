/**
 * A minimal /dev for a program that runs in an image's root file system: the devices every program may expect, and nothing of the host's.
 */
import { Effect, type Scope } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { MountFailed } from "../services/FuseDriver.ts"
import { describeErrno, mountScoped } from "./kernelMount.ts"
import * as files from "./native/fileSystem.ts"
import { MountFlag } from "./native/mount.ts"
import { isDirectoryItself } from "./isDirectoryItself.ts"

/** Name, major and minor number (Linux, "devices.txt"). */
const devices = [
  ["null", 1, 3],
  ["zero", 1, 5],
  ["full", 1, 7],
  ["random", 1, 8],
  ["urandom", 1, 9],
  ["tty", 5, 0]
] as const

const characterDevice = 0o020666

const makeDevices = (mountPoint: string) =>
  Effect.acquireUseRelease(
    Effect.promise(() => fs.open(mountPoint, "r")),
    ({ fd }) =>
      Effect.forEach(
        devices,
        ([name, major, minor]) => {
          const made = files.makeNode(fd, name, characterDevice, major, minor)
          const changed = made < 0 ? made : files.chmodAt(fd, name, 0o666)
          const reason = `cannot make the device ${name}: ${describeErrno(-changed)}`
          return changed < 0 ? Effect.fail(new MountFailed({ type: "tmpfs", mountPoint, reason })) : Effect.void
        },
        { discard: true }
      ),
    (directory) => Effect.promise(() => directory.close())
  )

/** Mounts it over `/dev` of the root file system, where that is a directory, until the scope ends. */
export const mountDevices = (rootfs: string): Effect.Effect<void, MountFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const mountPoint = path.join(rootfs, "dev")
    if (!(yield* isDirectoryItself(mountPoint))) return
    yield* mountScoped({
      type: "tmpfs",
      fileSystem: "tmpfs",
      source: "soci",
      mountPoint,
      flags: MountFlag.noSuid,
      data: "mode=755,size=64k"
    })
    yield* makeDevices(mountPoint)
  })

/**
 * Mounts an image and stays until somebody unmounts it, or goes to the background first.
 */
import { Console, Effect, Schedule } from "effect"
import * as fs from "node:fs/promises"
import { detach, reportMounted } from "../../detach.ts"
import { mountServices } from "../../mountServices.ts"
import type { MountingOptions } from "../imageFlags.ts"
import { describeMount, mountImage } from "../mountImage.ts"
import { mountServicesOptions } from "../mountServicesOptions.ts"

/** How a path stands in /proc/self/mountinfo. */
const mountinfoPath = (file: string): string =>
  file.replaceAll(/[ \t\n\\]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`)

const isMounted = (mountPoint: string) =>
  Effect.promise(() => fs.readFile("/proc/self/mountinfo", "utf8")).pipe(
    Effect.map((mounts) => mounts.split("\n").some((line) => line.split(" ")[4] === mountinfoPath(mountPoint)))
  )

/** Ends once somebody has unmounted the directory. */
const unmounted = (mountPoint: string) =>
  isMounted(mountPoint).pipe(
    Effect.repeat({ while: (mounted) => mounted, schedule: Schedule.spaced("500 millis") }),
    Effect.asVoid
  )

export const mountUntilUnmounted = Effect.fnUntraced(function* (
  options: MountingOptions & { readonly directory: string; readonly detached: boolean }
) {
  if (options.detached) return yield* detach
  const mountPoint = yield* Effect.promise(() => fs.realpath(options.directory))
  yield* Effect.gen(function* () {
    const mounted = yield* mountImage(options, mountPoint)
    const line = describeMount(options.image, mounted)
    if (!(yield* reportMounted(line))) yield* Console.log(`${line}\nCtrl-C or umount ends it`)
    yield* unmounted(mountPoint)
  }).pipe(Effect.scoped, Effect.provide(mountServices(yield* mountServicesOptions(options))))
})

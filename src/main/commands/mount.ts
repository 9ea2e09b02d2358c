/**
 * `soci mount IMAGE DIR`: an image's root file system, lazily, until Ctrl-C or umount.
 */
import { Console, Effect, Schedule } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as fs from "node:fs/promises"
import { Root } from "../cli/globalFlags.ts"
import { detach, reportMounted } from "../detach.ts"
import { mountServices } from "../mountServices.ts"
import { describeMount, imageArgument, imageFlags, mountImage } from "./imageOptions.ts"

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

export const mount = Command.make(
  "mount",
  {
    image: imageArgument,
    directory: Argument.Directory("dir", { mustExist: true }).pipe(Argument.withDescription("Where to mount it")),
    ...imageFlags,
    detached: Flag.Boolean("detach").pipe(
      Flag.withAlias("d"),
      Flag.withDescription("Go to the background once the image is mounted; umount ends it"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function* (options) {
    if (options.detached) return yield* detach
    const root = yield* Root
    const mountPoint = yield* Effect.promise(() => fs.realpath(options.directory))
    yield* Effect.gen(function* () {
      const mounted = yield* mountImage(options, mountPoint)
      const line = describeMount(options.image, mounted)
      if (!(yield* reportMounted(line))) yield* Console.log(`${line}\nCtrl-C or umount ends it`)
      yield* unmounted(mountPoint)
    }).pipe(Effect.scoped, Effect.provide(mountServices({ ...options, root })))
  })
).pipe(
  Command.withDescription("Mount an image's root file system lazily"),
  Command.withExamples([
    {
      command: "soci mount registry.example.com/app:soci /mnt",
      description: "Mount from a registry, stay in the foreground"
    },
    { command: "soci mount --build oci-layout:./image:v1 /mnt", description: "Mount an image that has no SOCI index" },
    {
      command: "soci mount --detach --writable registry.example.com/app:soci /mnt",
      description: "Writable, in the background"
    }
  ])
)

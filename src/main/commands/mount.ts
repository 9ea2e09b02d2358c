/**
 * `soci mount IMAGE DIR`: an image's root file system, lazily, until Ctrl-C or umount.
 */
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { imageArgument, imageFlags } from "./imageFlags.ts"

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
    const { mountUntilUnmounted } = yield* Effect.promise(() => import("./mount/mountUntilUnmounted.ts"))
    yield* mountUntilUnmounted(options)
  })
).pipe(
  Command.withDescription("mount an image's root file system lazily"),
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

/**
 * All commands, in the order of the help page: those of the reference, then ours. Each is loaded when it is called.
 */
import { commandEntry, type CommandEntry } from "./cli/commandEntry.ts"

export const commands: ReadonlyArray<CommandEntry> = [
  commandEntry({
    name: "index",
    summary: "manage indices",
    needsRoot: true,
    load: () => import("./commands/sociIndex.ts").then(({ sociIndex }) => sociIndex)
  }),
  commandEntry({
    name: "ztoc",
    summary: "manage ztocs",
    needsRoot: true,
    load: () => import("./commands/ztoc.ts").then(({ ztoc }) => ztoc)
  }),
  commandEntry({
    name: "prefetch",
    summary: "manage prefetch artifacts",
    needsRoot: true,
    load: () => import("./commands/prefetch.ts").then(({ prefetch }) => prefetch)
  }),
  commandEntry({
    name: "create",
    summary: "create SOCI index",
    needsRoot: true,
    load: () => import("./commands/create.ts").then(({ create }) => create)
  }),
  commandEntry({
    name: "convert",
    summary: "convert an OCI image to a SOCI enabled image",
    needsRoot: (argv) => !argv.some((argument) => /^--standalone(?:=true)?$/.test(argument)),
    load: () => import("./commands/convert.ts").then(({ convert }) => convert)
  }),
  commandEntry({
    name: "push",
    summary: "push SOCI artifacts to a registry",
    needsRoot: true,
    load: () => import("./commands/push.ts").then(({ push }) => push)
  }),
  commandEntry({
    name: "rebuild-db",
    summary: "rebuilds the artifacts database",
    needsRoot: true,
    load: () => import("./commands/rebuildDb.ts").then(({ rebuildDb }) => rebuildDb)
  }),
  commandEntry({
    name: "mount",
    summary: "mount an image's root file system lazily",
    needsRoot: false,
    load: () => import("./commands/mount.ts").then(({ mount }) => mount)
  }),
  commandEntry({
    name: "run",
    summary: "run a program from an image that is mounted lazily",
    needsRoot: false,
    load: () => import("./commands/run.ts").then(({ run }) => run)
  }),
  commandEntry({
    name: "doctor",
    summary: "tell what works here, what is missing and how to get it",
    needsRoot: false,
    load: () => import("./commands/doctor.ts").then(({ doctor }) => doctor)
  }),
  commandEntry({
    name: "completion",
    summary: "print a script that completes commands and flags in a shell",
    needsRoot: false,
    load: () => import("./commands/completion.ts").then(({ completion }) => completion)
  })
]

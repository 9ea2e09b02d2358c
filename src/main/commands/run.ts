/**
 * `soci run IMAGE -- COMMAND...`: runs a program from an image that is mounted lazily for as long as the program runs.
 */
import { Effect, FileSystem } from "effect"
import { Argument, Command } from "effect/cli"
import { mountDevices } from "../../layers/deviceDirectory.ts"
import { runInRootfs } from "../../layers/runInRootfs.ts"
import { Root } from "../cli/globalFlags.ts"
import { ExitWith } from "../commandFailure.ts"
import { mountServices } from "../mountServices.ts"
import { imageArgument, imageFlags, mountImage } from "./imageOptions.ts"

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/** The environment an image asks for, as containers get it. */
const environmentOf = (variables: ReadonlyArray<string>): Record<string, string> => {
  const environment: Record<string, string> = { PATH: defaultPath, TERM: process.env["TERM"] ?? "dumb" }
  for (const variable of variables) {
    const at = variable.indexOf("=")
    if (at > 0) environment[variable.slice(0, at)] = variable.slice(at + 1)
  }
  return environment
}

export const run = Command.make(
  "run",
  {
    image: imageArgument,
    command: Argument.String("command").pipe(
      Argument.withDescription("The program and its arguments, behind --"),
      Argument.variadic({ min: 1 })
    ),
    ...imageFlags
  },
  Effect.fnUntraced(function* (options) {
    const program = Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const rootfs = yield* fs.makeTempDirectoryScoped({ prefix: "soci-run-" })
      const { config: imageConfig } = yield* mountImage(options, rootfs)
      const { config } = imageConfig
      yield* mountDevices(rootfs)
      return yield* runInRootfs({
        rootfs,
        command: options.command,
        environment: environmentOf(config?.Env ?? []),
        workingDirectory: config?.WorkingDir || "/"
      })
    })
    const root = yield* Root
    const code = yield* program.pipe(Effect.scoped, Effect.provide(mountServices({ ...options, root })))
    if (code !== 0) return yield* new ExitWith({ code })
  })
).pipe(
  Command.withDescription("Run a program from an image that is mounted lazily"),
  Command.withExamples([
    { command: "soci run registry.example.com/app:soci -- node --version", description: "Run one program and clean up" }
  ])
)

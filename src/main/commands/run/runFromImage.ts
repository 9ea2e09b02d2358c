/**
 * Runs a program in the root file system of an image, which is mounted for as long as the program runs.
 */
import { Effect, FileSystem } from "effect"
import { mountDevices } from "../../../layers/deviceDirectory.ts"
import { runInRootfs } from "../../../layers/runInRootfs.ts"
import { ExitWith } from "../../commandFailure.ts"
import { mountServices } from "../../mountServices.ts"
import type { MountingOptions } from "../imageFlags.ts"
import { mountImage } from "../mountImage.ts"
import { mountServicesOptions } from "../mountServicesOptions.ts"

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

export const runFromImage = Effect.fnUntraced(function* (
  options: MountingOptions & { readonly command: ReadonlyArray<string> }
) {
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
  const services = mountServices(yield* mountServicesOptions(options))
  const code = yield* program.pipe(Effect.scoped, Effect.provide(services))
  if (code !== 0) return yield* new ExitWith({ code })
})

/**
 * The reference's runs of `create` and `convert`, and how ours are made like them.
 */
import { Result } from "effect"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { hostPlatform } from "../../src/layers/hostPlatform.ts"
import type { Platform } from "../../src/services/Descriptor.ts"
import type { IndexBuildOptions } from "../../src/services/IndexBuilder.ts"
import { defaultBuildToolIdentifier, defaultMinLayerSize, defaultSpanSize } from "../../src/services/ZtocBuilder.ts"
import { parsePlatform } from "../../src/streams/codec/platform.ts"

export interface Run {
  readonly args: ReadonlyArray<string>
  readonly exitCode: number
  readonly stderr?: string
  readonly stdoutLines?: ReadonlyArray<string>
  readonly indexJson?: string
  readonly artifactsDb?: ReadonlyArray<unknown>
  readonly sociIndexes?: ReadonlyArray<{ readonly digest: string; readonly platform: string }>
  readonly ociDirBlobs?: ReadonlyArray<{ readonly digest: string; readonly size: number }>
  readonly archiveEntries?: ReadonlyArray<{ readonly name: string; readonly mode: string; readonly size: number }>
  readonly archiveSha256?: string
  readonly labels?: Readonly<Record<string, Readonly<Record<string, string>>>>
}

interface Case {
  readonly convert?: ReadonlyArray<Run>
  readonly create?: ReadonlyArray<Run>
  readonly convertInContainerd?: Run
}

export const vectorFile = (name: string) => fileURLToPath(new URL(`../vectors/index/${name}`, import.meta.url))

export const caseOf = (name: string): Case => JSON.parse(readFileSync(vectorFile(`${name}/case.json`), "utf8"))

const valuesOf = (args: ReadonlyArray<string>, flag: string) =>
  args.flatMap((arg, i) => (arg === flag ? [args[i + 1] ?? ""] : []))

/** The files to prefetch: those of flags, then those of the list; trimmed, empty ones left out, as the command does. */
const prefetchPathsOf = (name: string, args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const listed: ReadonlyArray<string> = valuesOf(args, "--prefetch-files-json").flatMap((file) =>
    JSON.parse(readFileSync(vectorFile(`${name}/${file}`), "utf8"))
  )
  return [...valuesOf(args, "--prefetch-file"), ...listed].map((path) => path.trim()).filter((path) => path !== "")
}

export const buildOptionsOf = (name: string, { args }: Pick<Run, "args">): IndexBuildOptions => ({
  spanSize: Number(valuesOf(args, "--span-size")[0] ?? defaultSpanSize),
  minLayerSize: Number(valuesOf(args, "--min-layer-size")[0] ?? defaultMinLayerSize),
  buildToolIdentifier: defaultBuildToolIdentifier,
  xattrOptimization: args.includes("--optimizations"),
  forceRecreate: false,
  prefetchPaths: prefetchPathsOf(name, args),
  gcRootLabel: false
})

export const platform = (text: string): Platform => Result.getOrThrow(parsePlatform(text, hostPlatform))

/** The platforms that flags name. */
export const givenPlatforms = ({ args }: Pick<Run, "args">): ReadonlyArray<Platform> =>
  [...valuesOf(args, "-p"), ...valuesOf(args, "--platform")].map(platform)

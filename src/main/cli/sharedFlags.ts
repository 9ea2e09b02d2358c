/**
 * The flags that several commands have (cli spec, section 3).
 */
import { Flag } from "effect/cli"
import { integerFlag, listFlag, switchFlag } from "./goFlags.ts"

export { describeFlag, durationFlag, integerFlag, listFlag, switchFlag, textFlag, unsignedFlag } from "./goFlags.ts"

/** All platforms before the given ones before the command's default. The reference has no help texts for them. */
export const platformFlags = {
  allPlatforms: switchFlag("all-platforms"),
  platforms: listFlag("platform").pipe(Flag.withAlias("p"))
}

export const ztocFlags = {
  spanSize: integerFlag(
    "span-size",
    "Span size that soci index uses to segment layer data. Default is 4 MiB",
    4_194_304
  ),
  minLayerSize: integerFlag(
    "min-layer-size",
    "Minimum layer size to build zTOC for. Smaller layers won't have zTOC and not lazy pulled. Default is 10 MiB.",
    10_485_760
  ),
  /** Not checked here: the command says which there are. */
  optimizations: listFlag("optimizations", "(Experimental) Enable optional optimizations. Valid values are [xattr]"),
  force: switchFlag("force", "Force recreate ztocs even if they already exist").pipe(Flag.withAlias("f"))
}

export const prefetchFlags = {
  prefetchFiles: listFlag("prefetch-file", "Path of a file in the image to fetch before it is read; may be repeated"),
  /** Empty if not given. */
  prefetchFilesJson: Flag.String("prefetch-files-json").pipe(
    Flag.withDescription("JSON file with an array of paths of files in the image to fetch before they are read"),
    Flag.withDefault("")
  )
}

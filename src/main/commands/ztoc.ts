/**
 * `soci ztoc`: builds, reads and checks the tables that layers are read lazily by.
 */
import { Command } from "effect/cli"
import { build } from "./ztoc/build.ts"
import { getFile } from "./ztoc/getFile.ts"
import { info } from "./ztoc/info.ts"
import { list } from "./ztoc/list.ts"
import { verify } from "./ztoc/verify.ts"

export const ztoc = Command.make("ztoc").pipe(
  Command.withDescription("manage ztocs"),
  Command.withSubcommands([build, getFile, info, list, verify])
)

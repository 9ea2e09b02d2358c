/**
 * The arguments that the ztoc commands have in common.
 */
import { Argument } from "effect/cli"

export const ztocArgument = Argument.String("ztoc").pipe(
  Argument.withDescription("The digest of a ztoc in the content store (sha256:…), or a file with one"),
  Argument.withDefault("")
)

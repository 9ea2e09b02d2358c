/**
 * `soci ztoc list`: the ztocs of this machine. They are rows of the artifacts data base.
 */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { CommandRefused } from "../../commandFailure.ts"

export const list = Command.make("list", {}, () =>
  Effect.fail(
    new CommandRefused({
      reason:
        "ztocs are listed from the artifacts data base, which this version does not keep yet. " +
        "`soci ztoc info` reads a ztoc from a file, or from the content store by its digest"
    })
  )
).pipe(Command.withAlias("ls"), Command.withDescription("List ztocs (needs the artifacts data base)"))

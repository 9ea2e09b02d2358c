/**
 * `soci ztoc list`: the ztocs the artifacts data base knows, in the order of their digests.
 */
import { Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { switchFlag } from "../../cli/sharedFlags.ts"

export const list = Command.make(
  "list",
  {
    ztocDigest: Flag.String("ztoc-digest").pipe(Flag.withDescription("filter ztocs by digest"), Flag.withDefault("")),
    imageRef: Flag.String("image-ref").pipe(
      Flag.withDescription("filter ztocs to those that are associated with a specific image"),
      Flag.withDefault("")
    ),
    quiet: switchFlag("quiet", "only display the ztoc digests").pipe(Flag.withAlias("q")),
    json: switchFlag("json", "print the list as a JSON array")
  },
  Effect.fnUntraced(function* (options) {
    const { listZtocs } = yield* Effect.promise(() => import("./listZtocs.ts"))
    yield* listZtocs(options)
  })
).pipe(Command.withAlias("ls"), Command.withDescription("list ztocs"))

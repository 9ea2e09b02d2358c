/**
 * `soci prefetch`: which spans of layers are to be fetched before they are read.
 */
import { Effect, Option } from "effect"
import { Argument, Command } from "effect/cli"
import { switchFlag } from "../cli/sharedFlags.ts"

const list = Command.make(
  "list",
  { json: switchFlag("json", "print the list as a JSON array") },
  Effect.fnUntraced(function* (options) {
    const { listPrefetch } = yield* Effect.promise(() => import("./prefetch/listPrefetch.ts"))
    yield* listPrefetch(options)
  })
).pipe(Command.withAlias("ls"), Command.withDescription("list prefetch artifacts"))

const info = Command.make(
  "info",
  {
    digest: Argument.String("digest").pipe(
      Argument.withDescription("The digest of the prefetch artifact"),
      Argument.optional
    ),
    json: switchFlag("json", "print the artifact's JSON as well")
  },
  Effect.fnUntraced(function* ({ digest, json }) {
    const { prefetchInfo } = yield* Effect.promise(() => import("./prefetch/prefetchInfo.ts"))
    yield* prefetchInfo({ digest: Option.getOrElse(digest, () => ""), json })
  })
).pipe(Command.withDescription("get detailed info about a prefetch artifact"))

export const prefetch = Command.make("prefetch").pipe(
  Command.withDescription("manage prefetch artifacts"),
  Command.withSubcommands([list, info])
)

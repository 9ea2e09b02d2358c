/**
 * `soci index`: what SOCI indexes there are, what is in them, and taking them away.
 */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { listFlag, switchFlag } from "../cli/sharedFlags.ts"

const list = Command.make(
  "list",
  {
    ref: Flag.String("ref").pipe(
      Flag.withDescription("filter indices to those that are associated with a specific image ref"),
      Flag.withDefault("")
    ),
    quiet: switchFlag("quiet", "only display the index digests").pipe(Flag.withAlias("q")),
    platforms: listFlag("platform", "filter indices to a specific platform").pipe(Flag.withAlias("p")),
    json: switchFlag("json", "print the list as a JSON array")
  },
  Effect.fnUntraced(function* (options) {
    const { listIndexes } = yield* Effect.promise(() => import("./index/listIndexes.ts"))
    yield* listIndexes(options)
  })
).pipe(Command.withAlias("ls"), Command.withDescription("list indices"))

const info = Command.make(
  "info",
  { digest: Argument.String("digest").pipe(Argument.withDescription("The digest of the index"), Argument.optional) },
  Effect.fnUntraced(function* ({ digest }) {
    const { indexInfo } = yield* Effect.promise(() => import("./index/indexInfo.ts"))
    yield* indexInfo(Option.getOrElse(digest, () => ""))
  })
).pipe(Command.withDescription("get detailed info about an index"))

const remove = Command.make(
  "remove",
  {
    digests: Argument.String("digest").pipe(
      Argument.withDescription("The digests of the indexes"),
      Argument.variadic({ min: 0 })
    ),
    ref: Flag.String("ref").pipe(
      Flag.withDescription("only remove indices that are associated with a specific image ref"),
      Flag.withDefault("")
    )
  },
  Effect.fnUntraced(function* (options) {
    const { removeIndexes } = yield* Effect.promise(() => import("./index/removeIndexes.ts"))
    yield* removeIndexes(options)
  })
).pipe(
  Command.withAlias("rm"),
  Command.withDescription("remove indices"),
  Command.withExamples([
    { command: "soci index remove sha256:26fe13f0…", description: "Remove one index" },
    { command: "soci index remove --ref registry.example.com/app:v1", description: "Remove all indexes of an image" }
  ])
)

export const sociIndex = Command.make("index").pipe(
  Command.withDescription("manage indices"),
  Command.withSubcommands([list, info, remove])
)

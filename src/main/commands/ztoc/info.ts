/**
 * `soci ztoc info ZTOC`: what a ztoc says, as JSON.
 */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { ztocArgument } from "./ztocArguments.ts"

export const info = Command.make(
  "info",
  { ztoc: ztocArgument },
  Effect.fnUntraced(function* ({ ztoc }) {
    const { printZtocInfo } = yield* Effect.promise(() => import("./printZtocInfo.ts"))
    yield* printZtocInfo(ztoc)
  })
).pipe(Command.withDescription("get detailed info about a ztoc"))

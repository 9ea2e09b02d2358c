/**
 * `soci ztoc info ZTOC`: what a ztoc says, as JSON.
 */
import { Effect, Stream } from "effect"
import { Command } from "effect/cli"
import { ztocInfo } from "../../../streams/ztocInfo.ts"
import { writeStandardOutput } from "./standardOutput.ts"
import { readZtoc, rootFlag, ztocArgument } from "./ztocInput.ts"

export const info = Command.make(
  "info",
  { ztoc: ztocArgument, root: rootFlag },
  Effect.fnUntraced(function* (options) {
    const { ztoc, size } = yield* readZtoc(options.ztoc, options.root)
    const pieces = yield* Effect.fromResult(ztocInfo(ztoc, size))
    yield* writeStandardOutput(Stream.fromIterable(pieces))
  })
).pipe(Command.withDescription("Get detailed information about a ztoc"))

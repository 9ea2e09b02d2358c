/**
 * What the reference does before any action: the root directory is made, and a wrong SOURCE_DATE_EPOCH is warned of.
 */
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import { getSystemErrorMessage } from "node:util"
import { CommandRefused } from "../commandFailure.ts"
import { Root } from "./globalFlags.ts"

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && "code" in error && error.code === code

const reasonOf = (error: unknown): string =>
  error instanceof Error && "errno" in error && typeof error.errno === "number"
    ? getSystemErrorMessage(error.errno)
    : String(error)

/** Its last component only, for its owner only. What is there is left as it is. */
export const makeRoot = (root: string): Effect.Effect<void, CommandRefused> =>
  Effect.tryPromise({ try: () => fs.mkdir(root, { mode: 0o700 }), catch: (error) => error }).pipe(
    Effect.catch((error) =>
      hasCode(error, "EEXIST") ? Effect.void : new CommandRefused({ reason: `mkdir ${root}: ${reasonOf(error)}` })
    )
  )

/** Seconds since 1970; no artifact depends on it. */
const checkSourceDateEpoch = Effect.suspend(() => {
  const text = process.env["SOURCE_DATE_EPOCH"]
  return text === undefined || text === "" || /^-?[0-9]{1,18}$/.test(text)
    ? Effect.void
    : Effect.logWarning("Failed to read SOURCE_DATE_EPOCH").pipe(
        Effect.annotateLogs({ error: `invalid SOURCE_DATE_EPOCH value: ${text}` })
      )
})

export const prepare = Effect.gen(function* () {
  yield* checkSourceDateEpoch
  yield* makeRoot(yield* Root)
})

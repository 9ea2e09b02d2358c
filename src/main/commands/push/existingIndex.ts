/**
 * What `soci push` does about an index that the registry has already.
 */
import { Effect } from "effect"
import type { Descriptor } from "../../../services/Descriptor.ts"
import { CommandRefused } from "../../commandFailure.ts"

/** `warn` pushes another and says so, `skip` leaves it at that, `allow` does not look. */
const existingIndexModes = ["warn", "skip", "allow"] as const
export type ExistingIndexMode = (typeof existingIndexModes)[number]

export const readMode = (value: string): Effect.Effect<ExistingIndexMode, CommandRefused> => {
  const mode = existingIndexModes.find((one) => one === value)
  return mode === undefined
    ? Effect.fail(
        new CommandRefused({
          reason: `unexpected value for flag existing-index: ${value}, expected types [${existingIndexModes.join(" ")}]`
        })
      )
    : Effect.succeed(mode)
}

/** What there is, in the words of the reference. */
export const foundText = (found: ReadonlyArray<Descriptor>): string =>
  found.length === 1
    ? `soci index found in remote repository with digest: ${found[0]?.digest}`
    : "multiple soci indices found in remote repository"

/**
 * The repository of an image's name, refused in the words of the reference.
 */
import { Effect, Result } from "effect"
import { parseImageName } from "../../../services/ImageName.ts"
import type { Repository } from "../../../services/RegistryFetcher.ts"
import { parseContainerdReference } from "../../../streams/codec/containerdReference.ts"
import { CommandRefused } from "../../commandFailure.ts"

export const readRepository = (name: string): Effect.Effect<Repository, CommandRefused> => {
  const parsed = parseContainerdReference(name)
  if (Result.isFailure(parsed)) return Effect.fail(new CommandRefused({ reason: parsed.failure }))
  const { host, path } = parsed.success
  // Whatever the name has behind its path: the index goes where the image's manifests are.
  const repository = parseImageName(`${host}/${path}:tag`)
  if (Result.isSuccess(repository) && repository.success._tag === "Registry") return Effect.succeed(repository.success)
  return Effect.fail(new CommandRefused({ reason: `invalid reference: invalid repository ${JSON.stringify(path)}` }))
}

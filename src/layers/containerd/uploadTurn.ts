/**
 * Waiting for one's turn to upload a blob: another client may be uploading the same.
 *
 * Asking for a name that is taken costs: containerd keeps trying for half a second, and changes nothing for anybody meanwhile. So the
 * upload of the other client is watched, and the name asked for again when it has ended, or does not move.
 */
import { Clock, Duration, Effect, Exit, Schedule, Scope } from "effect"
import type { ContentStoreFailed } from "../../services/ContentStore.ts"
import type { Descriptor, Digest } from "../../services/Descriptor.ts"
import type { ContainerdConnection } from "./ContainerdConnection.ts"
import type { ContentFailures } from "./contentFailure.ts"
import { type ContentWriter, openContentWriter, StaleUpload, UploadNameTaken } from "./contentWriter.ts"
import { Content } from "./gen/content_pb.ts"

const looks = Schedule.jittered(Schedule.spaced("100 millis"))

/** An upload whose client died does not end, and does not move; its name is free. */
const standstillMillis = 2_000

/** Ends when asking again makes sense; says false if the other upload got no further within the patience. */
const makeWatch = ({ unary }: ContainerdConnection["Service"], digest: Digest, patience: Duration.Duration) => {
  const patienceMillis = Duration.toMillis(patience)
  let seen: bigint | undefined
  let since = 0
  let asked = 0
  const offset = unary(Content.method.status, { ref: digest }).pipe(
    Effect.map(({ status }) => status?.offset),
    Effect.catch(() => Effect.undefined)
  )
  const look = Effect.gen(function* () {
    const at = yield* offset
    const now = yield* Clock.currentTimeMillis
    if (at === undefined) return "ended"
    if (at !== seen) {
      since = now
      seen = at
    }
    if (now - since > patienceMillis) return "stuck"
    return now - Math.max(since, asked) > standstillMillis ? "standing" : "moving"
  })
  return Effect.gen(function* () {
    const state = yield* Effect.repeat(look, { schedule: looks, until: (found) => found !== "moving" })
    asked = yield* Clock.currentTimeMillis
    if (state === "ended") seen = undefined
    return state !== "stuck"
  })
}

/** The writer of an upload, or nothing where the blob is there. What failed attempts held is given back at once. */
export const awaitUpload = (
  connection: ContainerdConnection["Service"],
  { failed, failure }: ContentFailures,
  descriptor: Descriptor,
  patience: Duration.Duration
): Effect.Effect<ContentWriter | undefined, ContentStoreFailed, Scope.Scope> => {
  const { digest } = descriptor
  const attempt = Effect.gen(function* () {
    const scope = yield* Scope.fork(yield* Effect.scope)
    return yield* openContentWriter(connection, descriptor).pipe(
      Scope.provide(scope),
      Effect.onExit((exit) => (Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void))
    )
  })
  const mayAskAgain = makeWatch(connection, digest, patience)
  return attempt.pipe(
    Effect.retry({ times: 1, while: (error) => error instanceof StaleUpload }),
    Effect.retry({ schedule: looks, while: (error) => (error instanceof UploadNameTaken ? mayAskAgain : false) }),
    Effect.mapError((error) => {
      if (error instanceof StaleUpload)
        return failure("ingest", digest, "its name is held by bytes that are not its own")
      if (!(error instanceof UploadNameTaken)) return failed("ingest", digest)(error)
      const stuck = `another client is uploading it and got no further for ${Duration.format(patience)}`
      return failure("ingest", digest, `${error.cause.details}: ${stuck}; end that client, or try again`)
    })
  )
}

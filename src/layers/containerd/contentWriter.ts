/**
 * One upload of a blob into containerd (its Write call). Its name is the digest, as with the reference: containerd lets one writer at a
 * time have a name, so that two clients never send the same blob.
 */
import { Data, Effect, type Scope } from "effect"
import type { Descriptor } from "../../services/Descriptor.ts"
import { ContainerdCallFailed, type ContainerdError, hasCode } from "./containerdErrors.ts"
import type { ContainerdConnection } from "./ContainerdConnection.ts"
import { Content } from "./gen/content_pb.ts"

/** What a request of the Write call asks for (containerd's `WriteAction`). */
const action = { state: 0, write: 1, commit: 2 } as const

/** Another writer has the name. */
export class UploadNameTaken extends Data.TaggedError("UploadNameTaken")<{ readonly cause: ContainerdCallFailed }> {}

/** The bytes that an earlier upload left are not those of the digest; they are gone when the scope ends. */
export class StaleUpload extends Data.TaggedError("StaleUpload")<{}> {}

export interface ContentWriter {
  /** Pieces in order, each of at most 8 MiB. The first one replaces what an upload that broke off has left. */
  readonly write: (piece: Uint8Array) => Effect.Effect<void, ContainerdError>
  /** Fails with FAILED_PRECONDITION unless what was written has the digest and the size. */
  readonly commit: Effect.Effect<void, ContainerdError>
}

/** A failed or interrupted upload must not keep its owner waiting for a containerd that does not answer. */
const abortPatience = "5 seconds"

const isTaken = (error: ContainerdError): error is ContainerdCallFailed =>
  error._tag === "ContainerdCallFailed" && error.code === "UNAVAILABLE" && /\blocked\b/.test(error.details)

/** Nothing where containerd says that the blob is there. */
const orThere = <A>(asked: Effect.Effect<A, ContainerdError>) =>
  Effect.catchIf(
    asked,
    (error) => hasCode(error, "ALREADY_EXISTS"),
    () => Effect.undefined
  )

/**
 * Nothing where the blob is there: then the current lease holds it. Unless it was committed, the upload and its bytes are gone
 * when the scope ends.
 */
export const openContentWriter = Effect.fnUntraced(function* (
  connection: ContainerdConnection["Service"],
  { digest, size }: Descriptor
): Effect.fn.Return<ContentWriter | undefined, ContainerdError | UploadNameTaken | StaleUpload, Scope.Scope> {
  const identity = { ref: digest, total: BigInt(size), expected: digest }
  const exchange = yield* connection.exchange(Content.method.write)
  let unfinished = false
  // Runs before the call is cancelled: as long as the call has the name, no upload of anybody else is meant.
  yield* Effect.addFinalizer(() => (unfinished ? abort(connection, digest) : Effect.void))
  const ask: typeof exchange.ask = (request) =>
    Effect.tapError(exchange.ask(request), (error) =>
      Effect.sync(() => {
        // The connection is lost. Calling containerd back to take the upload away would wait for it to be started again.
        if (error.code === "UNAVAILABLE") unfinished = false
      })
    )
  const state = yield* ask({ action: action.state, ...identity }).pipe(
    orThere,
    Effect.mapError((error) => (isTaken(error) ? new UploadNameTaken({ cause: error }) : error))
  )
  if (state === undefined) return undefined
  unfinished = true

  const commitAt = (offset: number) =>
    ask({ action: action.commit, offset: BigInt(offset), ...identity }).pipe(
      orThere,
      Effect.tap(Effect.sync(() => (unfinished = false)))
    )

  // containerd has all bytes: those of another namespace's blob, or of an upload that was not committed.
  if (size > 0 && state.offset === BigInt(size)) {
    yield* Effect.mapError(commitAt(size), (error) =>
      hasCode(error, "FAILED_PRECONDITION") ? new StaleUpload() : error
    )
    return undefined
  }

  let offset = 0
  const write = Effect.fnUntraced(function* (piece: Uint8Array) {
    const answer = yield* ask({ action: action.write, offset: BigInt(offset), data: piece })
    offset += piece.length
    if (answer.offset === BigInt(offset)) return
    const details = `${answer.offset} bytes were taken where ${offset} were sent`
    return yield* new ContainerdCallFailed({ method: "Write", code: "DATA_LOSS", details })
  })
  return { write, commit: Effect.suspend(() => Effect.asVoid(commitAt(offset))) }
})

const abort = ({ unary }: ContainerdConnection["Service"], ref: string) =>
  unary(Content.method.abort, { ref }).pipe(
    Effect.timeout(abortPatience),
    Effect.catch((error) =>
      error._tag === "ContainerdCallFailed" && hasCode(error, "NOT_FOUND")
        ? Effect.void
        : Effect.logWarning(`an unfinished upload of ${ref} stays in containerd for a day: ${error.message}`)
    )
  )

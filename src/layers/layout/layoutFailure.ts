/**
 * How failures of the file system under a layout become errors of the content store.
 */
import { Effect } from "effect"
import { causeMessage } from "../../services/causeMessage.ts"
import { ContentStoreFailed } from "../../services/ContentStore.ts"

export type Operation = ContentStoreFailed["operation"]

/** Runs file system calls on behalf of an operation; `reference` is what it is about. */
export interface Attempts {
  readonly root: string
  readonly attempt: <A>(
    operation: Operation,
    reference: string,
    run: () => Promise<A> | A
  ) => Effect.Effect<A, ContentStoreFailed>
  readonly failure: (operation: Operation, reference: string, reason: string, cause?: unknown) => ContentStoreFailed
}

/** The code of a system error, such as ENOENT. */
export const errorCode = (cause: unknown): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined

/** The value, or `undefined` where the file does not exist. */
export const unlessMissing = async <A>(promise: Promise<A>): Promise<A | undefined> => {
  try {
    return await promise
  } catch (cause) {
    if (errorCode(cause) === "ENOENT") return undefined
    throw cause
  }
}

const advice: Readonly<Record<string, string>> = {
  EACCES: "permission denied; check the owner and mode of the store",
  ENOSPC: "no space left; free some and try again",
  EROFS: "the file system is read-only"
}

export const makeAttempts = (root: string): Attempts => {
  const failure = (operation: Operation, reference: string, reason: string, cause?: unknown) =>
    new ContentStoreFailed({ operation, store: root, reference, reason, ...(cause === undefined ? {} : { cause }) })
  return {
    root,
    failure,
    // What was begun is waited for: it would go on behind the back of those who clean up, and make anew what they removed.
    attempt: (operation, reference, run) =>
      Effect.tryPromise({
        try: async () => run(),
        catch: (cause) => {
          const reason = advice[errorCode(cause) ?? ""] ?? causeMessage(cause)
          return failure(operation, reference, reason, cause)
        }
      }).pipe(Effect.uninterruptible)
  }
}

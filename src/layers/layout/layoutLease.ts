/**
 * Keeps those who build in a layout apart from those who take away what nobody seems to need: a blob is ingested before the manifest
 * that lists it.
 *
 * A lock on the directory of the blobs, held in common by builders and alone by collectors; it is free when its holder is dead.
 */
import { Effect, Schedule } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { ContentStoreFailed } from "../../services/ContentStore.ts"
import { tryLock, tryLockShared } from "../native/flock.ts"
import type { Attempts, Operation } from "./layoutFailure.ts"

/** How long builders wait for a collection, and a collection for builders. */
const patience = "30 seconds"

export interface LayoutLease {
  /** Nothing is collected while the effect runs. */
  readonly shared: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | ContentStoreFailed, R>
  /** Nothing is built under a lease while the effect runs. */
  readonly alone: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | ContentStoreFailed, R>
  /** The same without waiting; the effect is told whether it is alone. */
  readonly aloneOrNot: <A, E, R>(
    effect: (alone: boolean) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | ContentStoreFailed, R>
}

export const makeLayoutLease = ({ root, attempt, failure }: Attempts): LayoutLease => {
  const withFolder = <A, E, R>(operation: Operation, use: (folder: fs.FileHandle) => Effect.Effect<A, E, R>) =>
    Effect.acquireUseRelease(
      attempt(operation, root, () => fs.open(path.join(root, "blobs"), "r")),
      use,
      (folder) => Effect.promise(() => folder.close())
    )

  const waitFor = (operation: Operation, lock: (descriptor: number) => boolean, who: string, folder: fs.FileHandle) =>
    attempt(operation, root, () => lock(folder.fd)).pipe(
      Effect.repeat({ until: (locked) => locked, schedule: Schedule.jittered(Schedule.spaced("5 millis")) }),
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () => Effect.fail(failure(operation, root, `${who} in it for more than ${patience}; try again later`))
      })
    )

  return {
    shared: (effect) =>
      withFolder("lease", (folder) =>
        Effect.andThen(waitFor("lease", tryLockShared, "garbage is being collected", folder), effect)
      ),
    alone: (effect) =>
      withFolder("collect", (folder) =>
        Effect.andThen(waitFor("collect", tryLock, "something is being built", folder), effect)
      ),
    aloneOrNot: (effect) =>
      withFolder("delete", (folder) =>
        Effect.flatMap(
          attempt("delete", root, () => tryLock(folder.fd)),
          effect
        )
      )
  }
}

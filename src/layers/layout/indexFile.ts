/**
 * The file `index.json` of a layout: read as often as it changes, and changed under a lock that holds among processes.
 *
 * A change reads what is there now, applies itself and replaces the file in one rename: changes of several processes all
 * survive, and a crash leaves the old file or the new one. The lock is on the root directory: nobody can remove it by cleaning up.
 */
import { Effect, Schedule, Semaphore } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { ContentStoreFailed } from "../../services/ContentStore.ts"
import { tryLock } from "../native/flock.ts"
import { openIngestFile } from "./ingestFile.ts"
import { type Attempts, type Operation, unlessMissing } from "./layoutFailure.ts"
import { emptyIndex, encodeLayoutIndex, type LayoutIndex, parseLayoutIndex } from "./layoutIndex.ts"

/** No `index.json` may be larger: it is read whole. */
const maxIndexBytes = 64 * 1024 * 1024

/** How long a change waits while other processes change the index; each of them needs milliseconds. */
const lockPatience = "30 seconds"

export interface IndexFile {
  readonly read: (operation: Operation, reference: string) => Effect.Effect<LayoutIndex, ContentStoreFailed>
  readonly change: (
    operation: Operation,
    reference: string,
    apply: (index: LayoutIndex) => LayoutIndex
  ) => Effect.Effect<void, ContentStoreFailed>
  /** Runs while no other process changes the layout. */
  readonly locked: <A, E>(
    operation: Operation,
    reference: string,
    effect: Effect.Effect<A, E>
  ) => Effect.Effect<A, E | ContentStoreFailed>
}

/** Tells one version of a file from another: a replaced file is another inode, a rewritten one has another time. */
const versionOf = (stat: { readonly ino: bigint; readonly mtimeNs: bigint; readonly size: bigint }): string =>
  `${stat.ino}:${stat.mtimeNs}:${stat.size}`

interface Contents {
  readonly version: string
  readonly bytes: Uint8Array
}

export const makeIndexFile = Effect.fnUntraced(function* (attempts: Attempts): Effect.fn.Return<IndexFile> {
  const { root, attempt, failure } = attempts
  const file = path.join(root, "index.json")
  const inProcess = yield* Semaphore.make(1)
  let cached: { readonly version: string; readonly index: LayoutIndex } | undefined

  const readChanged = async (known: string | undefined): Promise<Contents | undefined> => {
    const handle = await fs.open(file, "r")
    try {
      const stat = await handle.stat({ bigint: true })
      const version = versionOf(stat)
      if (version === known) return undefined
      if (stat.size > BigInt(maxIndexBytes))
        throw new Error(`it has ${stat.size} bytes, at most ${maxIndexBytes} are read`)
      return { version, bytes: await handle.readFile() }
    } finally {
      await handle.close()
    }
  }

  const read: IndexFile["read"] = Effect.fnUntraced(function* (operation, reference) {
    const changed = yield* attempt(operation, reference, () => readChanged(cached?.version))
    if (changed === undefined && cached !== undefined) return cached.index
    const index = yield* Effect.try({
      try: () => (changed === undefined ? emptyIndex : parseLayoutIndex(changed.bytes)),
      catch: (cause) =>
        failure(operation, reference, "its index.json is no OCI image index; restore or remove it", cause)
    })
    if (changed !== undefined) cached = { version: changed.version, index }
    return index
  })

  const directoryLock = (operation: Operation, reference: string) =>
    Effect.acquireRelease(
      attempt(operation, reference, () => fs.open(root, "r")),
      (handle) => Effect.promise(() => handle.close())
    ).pipe(
      Effect.flatMap((handle) =>
        attempt(operation, reference, () => tryLock(handle.fd)).pipe(
          Effect.repeat({ until: (locked) => locked, schedule: Schedule.jittered(Schedule.spaced("5 millis")) }),
          Effect.timeoutOrElse({
            duration: lockPatience,
            orElse: () =>
              Effect.fail(failure(operation, reference, `another process holds its lock for ${lockPatience}`))
          })
        )
      )
    )

  const locked: IndexFile["locked"] = (operation, reference, effect) =>
    inProcess.withPermits(1)(Effect.scoped(Effect.andThen(directoryLock(operation, reference), effect)))

  const replace = (operation: Operation, reference: string, index: LayoutIndex) =>
    Effect.scoped(
      Effect.gen(function* () {
        const temporary = yield* openIngestFile(attempts, operation, reference, "index.json")
        yield* attempt(operation, reference, () => temporary.handle.writeFile(encodeLayoutIndex(index)))
        yield* temporary.commit(file, 0o644)
      })
    )

  const change: IndexFile["change"] = (operation, reference, apply) =>
    locked(
      operation,
      reference,
      Effect.gen(function* () {
        const before = yield* read(operation, reference)
        const after = apply(before)
        if (after !== before) yield* replace(operation, reference, after)
      })
    )

  return { read, change, locked }
})

const layoutVersion = "1.0.0"
const maxVersionBytes = 4096

/** Checks `oci-layout`, which says that this is a layout and of which version; throws where it does not. */
export const checkLayoutVersion = async (root: string): Promise<"present" | "missing"> => {
  const file = path.join(root, "oci-layout")
  const stat = await unlessMissing(fs.stat(file))
  if (stat === undefined) return "missing"
  if (!stat.isFile() || stat.size > maxVersionBytes) throw new Error("its oci-layout is none: not a small file")
  const parsed: unknown = JSON.parse(await fs.readFile(file, "utf8"))
  const version =
    typeof parsed === "object" && parsed !== null && "imageLayoutVersion" in parsed ? parsed.imageLayoutVersion : ""
  if (version === layoutVersion) return "present"
  throw new Error(`its oci-layout says version "${String(version)}"; only ${layoutVersion} is known`)
}

/** Writes the two files that make an empty directory a layout, where they are missing. */
export const initializeLayout = (attempts: Attempts): Effect.Effect<void, ContentStoreFailed> => {
  const { root, attempt } = attempts
  const write = (name: string, bytes: Uint8Array) =>
    Effect.scoped(
      Effect.gen(function* () {
        const temporary = yield* openIngestFile(attempts, "open", root, name)
        yield* attempt("open", root, () => temporary.handle.writeFile(bytes))
        yield* temporary.commit(path.join(root, name), 0o644)
      })
    )
  return Effect.gen(function* () {
    const version = yield* attempt("open", root, () => checkLayoutVersion(root))
    const text = JSON.stringify({ imageLayoutVersion: layoutVersion })
    if (version === "missing") yield* write("oci-layout", new TextEncoder().encode(text))
    const index = yield* attempt("open", root, () => unlessMissing(fs.stat(path.join(root, "index.json"))))
    if (index === undefined) yield* write("index.json", encodeLayoutIndex(emptyIndex))
  })
}

/**
 * The file `index.json` of a layout: read as often as it changes, and changed under a lock that holds among processes.
 *
 * A change reads what is there now, applies itself and replaces the file in one rename: changes of several processes all
 * survive, and a crash leaves the old file or the new one. The lock is on the root directory: nobody can remove it by cleaning up.
 * Where changes are not saved by themselves they lie over the file, in this process only, until `save` writes them.
 */
import { Effect, Schedule, Semaphore } from "effect"
import { constants } from "node:fs"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { causeMessage } from "../../services/causeMessage.ts"
import type { ContentStoreFailed } from "../../services/ContentStore.ts"
import { parseFirstJson } from "../../streams/codec/firstJson.ts"
import { tryLock } from "../native/flock.ts"
import { openIngestFile } from "./ingestFile.ts"
import { type Attempts, type Operation, unlessMissing } from "./layoutFailure.ts"
import { emptyIndex, encodeLayoutIndex, type LayoutIndex, parseLayoutIndex } from "./layoutIndex.ts"
import { addUnsaved, nothingUnsaved, withUnsaved } from "./unsavedIndex.ts"

/** No `index.json` may be larger: it is read whole. */
export const maxIndexBytes = 64 * 1024 * 1024

const undecodable = "invalid OCI Image Index: failed to decode index file"

/** How long a change waits while other processes change the index; each of them needs milliseconds. */
const lockPatience = "30 seconds"

export interface IndexFile {
  readonly read: (operation: Operation, reference: string) => Effect.Effect<LayoutIndex, ContentStoreFailed>
  readonly change: (
    operation: Operation,
    reference: string,
    apply: (index: LayoutIndex) => LayoutIndex
  ) => Effect.Effect<void, ContentStoreFailed>
  /** The same for who holds the lock already. */
  readonly update: IndexFile["change"]
  /** Writes what was not saved. */
  readonly save: Effect.Effect<void, ContentStoreFailed>
  /** Runs while no other process changes the layout. Must not be nested. */
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

export const makeIndexFile = Effect.fnUntraced(function* (
  attempts: Attempts,
  autoSave: boolean
): Effect.fn.Return<IndexFile> {
  const { root, attempt, failure } = attempts
  const file = path.join(root, "index.json")
  const inProcess = yield* Semaphore.make(1)
  let cached: { readonly version: string; readonly index: LayoutIndex } | undefined
  let unsaved = nothingUnsaved

  const readChanged = async (known: string | undefined): Promise<Contents | undefined> => {
    // What lies there may be a pipe, and must not block.
    const handle = await fs.open(file, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const stat = await handle.stat({ bigint: true })
      if (!stat.isFile()) throw new Error("its index.json is not a regular file")
      const version = versionOf(stat)
      if (version === known) return undefined
      if (stat.size > BigInt(maxIndexBytes))
        throw new Error(`it has ${stat.size} bytes, at most ${maxIndexBytes} are read`)
      return { version, bytes: await handle.readFile() }
    } finally {
      await handle.close()
    }
  }

  const readFile: IndexFile["read"] = Effect.fnUntraced(function* (operation, reference) {
    const changed = yield* Effect.mapError(
      attempt(operation, reference, () => readChanged(cached?.version)),
      (error) =>
        failure(operation, reference, `invalid OCI Image Index: failed to open index file: ${error.reason}`, error)
    )
    if (changed === undefined && cached !== undefined) return cached.index
    const index = yield* Effect.try({
      try: () => (changed === undefined ? emptyIndex : parseLayoutIndex(changed.bytes)),
      catch: (cause) =>
        failure(operation, reference, `${undecodable}: ${causeMessage(cause)}; restore or remove its index.json`, cause)
    })
    if (changed !== undefined) cached = { version: changed.version, index }
    return index
  })

  const read: IndexFile["read"] = (operation, reference) =>
    Effect.map(readFile(operation, reference), (index) => withUnsaved(index, unsaved))

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

  const update: IndexFile["update"] = Effect.fnUntraced(function* (operation, reference, apply) {
    const before = yield* read(operation, reference)
    const after = apply(before)
    if (after === before) return
    if (autoSave) yield* replace(operation, reference, after)
    else unsaved = addUnsaved(unsaved, before, after)
  })

  const change: IndexFile["change"] = (operation, reference, apply) =>
    locked(operation, reference, update(operation, reference, apply))

  const save = locked(
    "tag",
    root,
    Effect.gen(function* () {
      if (unsaved === nothingUnsaved) return
      yield* replace("tag", root, yield* read("tag", root))
      unsaved = nothingUnsaved
    })
  )

  return { read, change, update, save, locked }
})

const layoutVersion = "1.0.0"
export const maxVersionBytes = 4096
const invalidLayout = "invalid OCI Image Layout"

/** What a file `oci-layout` says; throws where it is not of the only version there is. */
export const checkVersion = (bytes: Uint8Array): void => {
  const version = versionIn(bytes)
  if (version === layoutVersion) return
  throw new Error(`${invalidLayout}: unsupported version "${String(version)}", only ${layoutVersion} is known`)
}

const versionIn = (bytes: Uint8Array): unknown => {
  try {
    const parsed = parseFirstJson(bytes)
    return typeof parsed === "object" && parsed !== null && "imageLayoutVersion" in parsed
      ? parsed.imageLayoutVersion
      : ""
  } catch (cause) {
    throw new Error(`${invalidLayout}: failed to decode OCI layout file: ${causeMessage(cause)}`, { cause })
  }
}

/** Checks `oci-layout`, which says that this is a layout and of which version; throws where it does not. */
export const checkLayoutVersion = async (root: string): Promise<"present" | "missing"> => {
  const file = path.join(root, "oci-layout")
  const stat = await unlessMissing(fs.stat(file))
  if (stat === undefined) return "missing"
  if (!stat.isFile() || stat.size > maxVersionBytes) {
    throw new Error(`${invalidLayout}: failed to open OCI layout file: it is not a small file`)
  }
  checkVersion(await fs.readFile(file))
  return "present"
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

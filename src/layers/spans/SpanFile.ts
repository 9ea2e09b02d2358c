/**
 * The sparse file that holds a layer's uncompressed stream, in a directory of its own that goes with the scope.
 *
 * Directories are named after the process that made them; what a killed process left is removed by `sweepSpanFiles`.
 */
import { Effect, type Scope } from "effect"
import { constants } from "node:fs"
import { type FileHandle, mkdir, mkdtemp, open, readdir, readFile, rm } from "node:fs/promises"
import { join } from "node:path"
import { causeMessage } from "../../services/causeMessage.ts"
import type { Digest } from "../../services/Descriptor.ts"
import { hexOf } from "../../services/Descriptor.ts"
import { SpanStoreFailed } from "../../services/SpanStore.ts"

export interface SpanFile {
  readonly path: string
  /** Writes all bytes at an offset. Cannot be interrupted, lest the descriptor is closed under it. */
  write(bytes: Uint8Array, offset: number): Effect.Effect<void, unknown>
  /** The bytes of a range, less where the file ends. */
  read(offset: number, length: number): Effect.Effect<Uint8Array, unknown>
  /** Whether the bytes of a span are there from earlier. */
  isKept(span: number): boolean
  /** Says that the bytes of a span were written, for those who open the layer later. */
  keep(span: number): Effect.Effect<void, unknown>
  /** No part of the file is given back while the scope is open. */
  readonly hold: Effect.Effect<void, SpanStoreFailed, Scope.Scope>
}

/** What tells a process from an earlier one with its number: when it started, in clock ticks (proc(5), stat, field 22). */
const startOf = async (pid: number | "self"): Promise<string> => {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1")
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""
}

const madeBy = /^(\d+)\.(\d+)-[0-9a-f]{12}-/

/** Makes the directory, private to its owner, and removes what processes that are gone left in it. */
export const sweepSpanFiles = (directory: string): Effect.Effect<void, SpanStoreFailed> =>
  Effect.tryPromise({
    try: async () => {
      await mkdir(directory, { recursive: true, mode: 0o700 })
      for (const name of await readdir(directory)) {
        const [, pid, start] = madeBy.exec(name) ?? []
        if (pid === undefined || (await startOf(Number(pid)).catch(() => "")) === start) continue
        await rm(join(directory, name), { recursive: true, force: true })
      }
    },
    catch: (cause) => failed("(none)", directory, "its directory cannot be made or swept", cause)
  })

const failed = (layer: string, path: string, what: string, cause: unknown) =>
  new SpanStoreFailed({ layer, path, reason: `${what}: ${causeMessage(cause)}`, cause })

/** A file of `size` bytes, all holes, removed with the scope. */
export const makeSpanFile = Effect.fnUntraced(function* (directory: string, layer: Digest, size: number) {
  const attempt = <A>(path: string, what: string, step: () => Promise<A>) =>
    Effect.tryPromise({ try: step, catch: (cause) => failed(layer, path, what, cause) })

  const own = yield* Effect.acquireRelease(
    attempt(directory, "no directory can be made for it", async () =>
      mkdtemp(join(directory, `${process.pid}.${await startOf("self")}-${hexOf(layer).slice(0, 12)}-`))
    ),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )
  const path = join(own, "stream")
  const file = yield* Effect.acquireRelease(
    attempt(path, "it cannot be made", () =>
      open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600)
    ),
    (handle) => Effect.promise(() => handle.close())
  )
  yield* attempt(path, `it cannot be given ${size} bytes`, () => file.truncate(size))
  const temporary: SpanFile = {
    ...spanFileOf(path, file),
    isKept: () => false,
    keep: () => Effect.void,
    hold: Effect.void
  }
  return temporary
})

/** Reads and writes of an open file. */
export const spanFileOf = (path: string, file: FileHandle): Pick<SpanFile, "path" | "write" | "read"> => ({
  path,
  write: (bytes, offset) =>
    Effect.tryPromise({ try: () => writeAll(file, bytes, offset), catch: (cause) => cause }).pipe(
      Effect.uninterruptible
    ),
  read: (offset, length) =>
    Effect.tryPromise({ try: () => readAll(file, offset, length), catch: (cause) => cause }).pipe(
      Effect.uninterruptible
    )
})

const writeAll = async (file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> => {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offset + done)
    if (bytesWritten === 0) throw new Error("nothing could be written")
    done += bytesWritten
  }
}

const readAll = async (file: FileHandle, offset: number, length: number): Promise<Uint8Array> => {
  const bytes = new Uint8Array(length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return bytes.subarray(0, done)
}

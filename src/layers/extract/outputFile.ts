/**
 * A file that appears whole or not at all.
 */
import { Effect, Stream } from "effect"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs/promises"
import { type FileFailed, fileFailed } from "./layerFile.ts"

/**
 * Writes beside `path` and renames into place once everything is on disk. A failure or an interruption leaves what was there before.
 * The file has mode 0644, less the umask.
 */
export const writeOutputFile = <E, R>(
  path: string,
  content: Stream.Stream<Uint8Array, E, R>
): Effect.Effect<void, E | FileFailed, R> => {
  const beside = `${path}.${randomBytes(6).toString("hex")}.tmp`
  const attempt = <A>(run: () => Promise<A>) => Effect.tryPromise({ try: run, catch: fileFailed("write", path) })
  return Effect.acquireUseRelease(
    attempt(() => fs.open(beside, "wx", 0o644)),
    (handle) =>
      content.pipe(
        Stream.runForEach((chunk) => attempt(() => handle.writeFile(chunk))),
        Effect.andThen(attempt(() => handle.sync())),
        Effect.andThen(attempt(() => fs.rename(beside, path)))
      ),
    (handle) =>
      Effect.promise(async () => {
        await handle.close()
        await fs.rm(beside, { force: true })
      })
  )
}

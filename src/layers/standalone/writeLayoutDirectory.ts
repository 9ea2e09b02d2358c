/**
 * Writes an image as an OCI layout directory: its content, `index.json`, `oci-layout`, and nothing else (CLI spec, section 6, step 7, and
 * section 13, row 9).
 *
 * Blobs stream through, verified. The directory is made beside its place; what was there before is replaced when all is written, and
 * stays after a failure or an interruption. It may be the input of the conversion.
 */
import { Effect, Stream } from "effect"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { causeMessage } from "../../services/causeMessage.ts"
import type { ContentStore } from "../../services/ContentStore.ts"
import { type Descriptor, hexOf } from "../../services/Descriptor.ts"
import { layoutFile } from "../../streams/codec/ociArchive.ts"
import { syncDirectory } from "../layout/ingestFile.ts"
import { unlessMissing } from "../layout/layoutFailure.ts"
import { reachableContent } from "./reachableContent.ts"
import { rootIndex } from "./rootIndex.ts"
import { StandaloneFailed } from "./StandaloneFailed.ts"

type Attempt = <A>(run: () => Promise<A>) => Effect.Effect<A, StandaloneFailed>

const writeFile = <E, R>(attempt: Attempt, file: string, content: Stream.Stream<Uint8Array, E, R>) =>
  Effect.acquireUseRelease(
    attempt(() => fs.open(file, "wx", 0o644)),
    (handle) =>
      Effect.andThen(
        Stream.runForEach(content, (chunk) => attempt(() => handle.writeFile(chunk))),
        attempt(() => handle.sync())
      ),
    (handle) => Effect.promise(() => handle.close())
  )

/** Puts the new directory in the place of what is there; that comes back if it does not work. */
const swap = async (made: string, output: string, aside: string): Promise<void> => {
  const earlier = await unlessMissing(fs.rename(output, aside).then(() => true))
  try {
    await fs.rename(made, output)
  } catch (cause) {
    if (earlier) await fs.rename(aside, output)
    throw cause
  }
  await syncDirectory(path.dirname(output))
}

export const writeLayoutDirectory = Effect.fn("writeLayoutDirectory")(function* (
  store: ContentStore["Service"],
  root: Descriptor,
  output: string
) {
  const attempt: Attempt = (run) =>
    Effect.tryPromise({
      try: run,
      catch: (cause) =>
        new StandaloneFailed({ attempted: `failed to write ${output}`, reason: causeMessage(cause), cause })
    }).pipe(Effect.uninterruptible)
  const content = yield* reachableContent(store, root)
  const place = yield* attempt(async () => (await unlessMissing(fs.realpath(output))) ?? path.resolve(output))
  const suffix = randomBytes(6).toString("hex")
  const made = `${place}.${suffix}.tmp`
  const aside = `${place}.${suffix}.old`

  yield* Effect.acquireUseRelease(
    attempt(async () => {
      await fs.mkdir(path.dirname(place), { recursive: true, mode: 0o755 })
      await fs.mkdir(made, { mode: 0o755 })
    }),
    () =>
      Effect.gen(function* () {
        const blobs = path.join(made, "blobs", "sha256")
        yield* attempt(() => fs.mkdir(blobs, { recursive: true, mode: 0o755 }))
        for (const descriptor of content) {
          yield* writeFile(attempt, path.join(blobs, hexOf(descriptor.digest)), store.read(descriptor))
        }
        yield* writeFile(attempt, path.join(made, "index.json"), Stream.succeed(rootIndex(root)))
        yield* writeFile(attempt, path.join(made, "oci-layout"), Stream.succeed(layoutFile))
        yield* Effect.uninterruptible(attempt(() => swap(made, place, aside)))
      }),
    () =>
      Effect.promise(async () => {
        await fs.rm(made, { recursive: true, force: true })
        await fs.rm(aside, { recursive: true, force: true })
      })
  )
})

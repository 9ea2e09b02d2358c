/**
 * Writes an image as an OCI archive: the same bytes for the same content (CLI spec, section 6, step 8).
 *
 * Blobs stream through, verified. The archive is written beside its place and renamed into it: a failure or an interruption leaves what was
 * there. A pipe or a device is written to as it is.
 */
import { Effect, Stream } from "effect"
import * as fs from "node:fs/promises"
import { causeMessage } from "../../services/causeMessage.ts"
import type { ContentStore } from "../../services/ContentStore.ts"
import { type Descriptor, hexOf } from "../../services/Descriptor.ts"
import { archiveEnd, archiveHeader, archivePadding, layoutFile } from "../../streams/codec/ociArchive.ts"
import { writeOutputFile } from "../extract/outputFile.ts"
import { FileFailed } from "../extract/layerFile.ts"
import { errorCode, unlessMissing } from "../layout/layoutFailure.ts"
import { reachableContent } from "./reachableContent.ts"
import { rootIndex } from "./rootIndex.ts"
import { StandaloneFailed } from "./StandaloneFailed.ts"

const member = <E, R>(
  name: string,
  mode: number,
  size: number,
  content: Stream.Stream<Uint8Array, E, R>
): Stream.Stream<Uint8Array, E, R> =>
  Stream.succeed(archiveHeader({ name, mode, size })).pipe(
    Stream.concat(content),
    Stream.concat(Stream.succeed(archivePadding(size)))
  )

const file = (name: string, mode: number, bytes: Uint8Array) => member(name, mode, bytes.length, Stream.succeed(bytes))

const archiveOf = (store: ContentStore["Service"], root: Descriptor) =>
  Stream.unwrap(
    Effect.map(reachableContent(store, root), (content) =>
      Stream.make(
        archiveHeader({ name: "blobs/", mode: 0o755, size: 0 }),
        archiveHeader({ name: "blobs/sha256/", mode: 0o755, size: 0 })
      ).pipe(
        Stream.concat(
          Stream.flatMap(Stream.fromIterable(content), (descriptor) =>
            member(`blobs/sha256/${hexOf(descriptor.digest)}`, 0o444, descriptor.size, store.read(descriptor))
          )
        ),
        Stream.concat(file("index.json", 0o644, rootIndex(root))),
        Stream.concat(file("oci-layout", 0o444, layoutFile)),
        Stream.concat(Stream.succeed(archiveEnd))
      )
    )
  )

/** A regular file is replaced, where links lead; anything else is opened and written. */
const targetOf = async (output: string): Promise<{ readonly path: string; readonly replaced: boolean }> => {
  const real = await unlessMissing(fs.realpath(output))
  if (real === undefined) return { path: output, replaced: true }
  const stat = await fs.stat(real)
  if (stat.isDirectory()) throw new Error("is a directory")
  return { path: real, replaced: stat.isFile() }
}

const writeInPlace = <E, R>(output: string, content: Stream.Stream<Uint8Array, E, R>) => {
  const attempt = <A>(run: () => Promise<A>) =>
    Effect.tryPromise({
      try: run,
      catch: (cause) => new FileFailed({ operation: "write", path: output, reason: causeMessage(cause), cause })
    })
  return Effect.acquireUseRelease(
    attempt(() => fs.open(output, "w")),
    (handle) => Stream.runForEach(content, (chunk) => attempt(() => handle.writeFile(chunk))),
    (handle) => Effect.promise(() => handle.close())
  )
}

export const writeArchive = Effect.fn("writeArchive")(function* (
  store: ContentStore["Service"],
  root: Descriptor,
  output: string
) {
  const failed = (cause: unknown) => {
    const missing =
      errorCode(cause) === "ENOENT" || (cause instanceof FileFailed && errorCode(cause.cause) === "ENOENT")
    const reason = missing ? `open ${output}: no such file or directory` : causeMessage(cause)
    return new StandaloneFailed({ attempted: `failed to create output tar ${output}`, reason, cause })
  }
  const target = yield* Effect.tryPromise({ try: () => targetOf(output), catch: failed })
  const content = archiveOf(store, root)
  const written = target.replaced ? writeOutputFile(target.path, content) : writeInPlace(target.path, content)
  yield* Effect.catchTag(written, "FileFailed", (cause) => Effect.fail(failed(cause)))
})

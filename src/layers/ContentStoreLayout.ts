/**
 * A content store in an OCI image layout on disk (image-spec, "Image Layout"; oci-layout-store): readable by skopeo, umoci
 * and the reference, and safe among processes.
 *
 * A pushed manifest is listed in `index.json` under its digest, with a tag under the tag. Damaged blobs, such as those a crash left of
 * a program that does not sync, count as absent when they are ingested again; a damaged manifest keeps the store from being opened.
 * Deletions and garbage collection are exclusive among all processes, and take nothing from who builds under a lease.
 */
import { Effect, Layer } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { ContentStore, type ContentStoreFailed } from "../services/ContentStore.ts"
import type { Descriptor } from "../services/Descriptor.ts"
import { checkLayoutVersion, type IndexFile, initializeLayout, makeIndexFile } from "./layout/indexFile.ts"
import { sweepIngestFiles } from "./layout/ingestFile.ts"
import { type Attempts, errorCode, makeAttempts } from "./layout/layoutFailure.ts"
import { withListed } from "./layout/layoutIndex.ts"
import { directoryMedium } from "./layout/layoutMedium.ts"
import { blobPath } from "./layout/blobFile.ts"
import { makeLayoutLease } from "./layout/layoutLease.ts"
import { makeLayoutReader } from "./layout/layoutReader.ts"
import { makeRemoval } from "./layout/layoutRemoval.ts"
import { isListedType } from "./layout/manifestLinks.ts"
import { storeBlob } from "./layout/storeBlob.ts"

export interface LayoutOptions {
  /** The directory; made absolute when the layer is built. It is created with its parents unless it is read-only. */
  readonly root: string
  /** Nothing is written, not even an empty index: what is not a layout cannot be opened. */
  readonly readOnly?: boolean
  /** Read a layout although the file is missing that says it is one; only with `readOnly`. */
  readonly withoutLayoutFile?: boolean
  /** Whether every change of tags and listed manifests is written to `index.json` at once (the default), or by `saveIndex`. */
  readonly autoSaveIndex?: boolean
  /** Whether a deletion takes along what nothing needs any more (the default). */
  readonly autoGC?: boolean
}

type Shape = ContentStore["Service"]

export interface LayoutStore extends Shape {
  /** Writes what was not written yet; what other processes changed meanwhile stays. */
  readonly saveIndex: Effect.Effect<void, ContentStoreFailed>
}

export const layer = (options: LayoutOptions) => Layer.effect(ContentStore, Effect.map(open(options), ContentStore.of))

/** The store by itself, with what only a layout has. */
export const open: (options: LayoutOptions) => Effect.Effect<LayoutStore, ContentStoreFailed> = Effect.fn(
  "ContentStoreLayout.open"
)(function* ({ root, readOnly = false, withoutLayoutFile = false, autoSaveIndex = true, autoGC = true }) {
  const attempts = makeAttempts(path.resolve(root))
  const medium = directoryMedium(attempts)
  const index = yield* makeIndexFile(attempts, autoSaveIndex)
  yield* readOnly ? openExisting(attempts, withoutLayoutFile) : openOrCreate(attempts, index)

  const refuseChange = Effect.fnUntraced(function* (operation: ContentStoreFailed["operation"], reference: string) {
    if (readOnly) yield* attempts.failure(operation, reference, "it was opened for reading only")
  })
  const reader = makeLayoutReader(medium, index, refuseChange)
  yield* reader.checkGraph
  const lease = makeLayoutLease(attempts)
  const removal = makeRemoval({ medium, index, loadGraph: reader.loadGraph, lease, autoGC })

  const ingest: Shape["ingest"] = Effect.fn("ContentStoreLayout.ingest")(function* (descriptor, content) {
    const { digest, size, mediaType } = descriptor
    yield* Effect.annotateCurrentSpan({ digest, size })
    yield* refuseChange("ingest", digest)
    const isThere = (yield* medium.sizeOf("ingest", digest)) === size
    if (!isThere) yield* storeBlob(attempts, descriptor, content)
    if (!isListedType(mediaType)) return
    const current = yield* index.read("ingest", digest)
    if (!current.listed.has(digest)) yield* list(descriptor, !isThere)
  })

  /** A manifest that cannot be listed must not stay: nobody would know of it. */
  const list = (descriptor: Descriptor, isNew: boolean) => {
    const { digest } = descriptor
    const update = Effect.gen(function* () {
      if ((yield* medium.sizeOf("ingest", digest)) === undefined) {
        return yield* attempts.failure("ingest", digest, "it was deleted meanwhile; ingest it again")
      }
      yield* index.update("ingest", digest, (current) => withListed(current, descriptor))
    })
    const withdraw = attempts.attempt("ingest", digest, () => fs.rm(blobPath(attempts.root, digest), { force: true }))
    return index.locked("ingest", digest, isNew ? Effect.tapError(update, () => Effect.ignore(withdraw)) : update)
  }

  return {
    location: attempts.root,
    ...reader.store,
    ingest,
    delete: (descriptor) => Effect.andThen(refuseChange("delete", descriptor.digest), removal.delete(descriptor)),
    collectGarbage: Effect.andThen(refuseChange("collect", attempts.root), removal.collectGarbage),
    withLease: (effect) => (readOnly ? effect : lease.shared(effect)),
    label: () => Effect.void,
    saveIndex: Effect.andThen(refuseChange("tag", attempts.root), index.save)
  }
})

const openExisting = ({ root, attempt, failure }: Attempts, withoutLayoutFile: boolean) =>
  attempt("open", root, () => checkLayoutVersion(root)).pipe(
    Effect.flatMap((found) =>
      found === "present" || withoutLayoutFile
        ? Effect.void
        : Effect.fail(
            failure(
              "open",
              root,
              "it is no OCI image layout: failed to open OCI layout file: it has no file oci-layout"
            )
          )
    )
  )

const makeBlobDirectory = async (root: string): Promise<void> => {
  try {
    await fs.mkdir(path.join(root, "blobs", "sha256"), { recursive: true })
  } catch (cause) {
    // Where nothing can be written Node says that something is missing; the kernel says why.
    if (errorCode(cause) === "ENOENT") await fs.mkdir(root)
    throw cause
  }
}

const openOrCreate = Effect.fnUntraced(function* (attempts: Attempts, { locked }: IndexFile) {
  const { root, attempt } = attempts
  yield* attempt("open", root, () => makeBlobDirectory(root))
  yield* locked("open", root, initializeLayout(attempts))
  yield* sweepIngestFiles(attempts)
})

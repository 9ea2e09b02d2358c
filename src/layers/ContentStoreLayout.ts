/**
 * A content store in an OCI image layout on disk (image-spec, "Image Layout"; oci-layout-store): readable by skopeo, umoci
 * and the reference, and safe among processes.
 *
 * A pushed manifest is listed in `index.json` under its digest, with a tag under the tag. Nothing is ever deleted. Damaged
 * blobs, such as those a crash left of a program that does not sync, count as absent when they are ingested again.
 */
import { Effect, Layer, Stream } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { ContentStore } from "../services/ContentStore.ts"
import type { Descriptor, Digest } from "../services/Descriptor.ts"
import { maxDocumentBytes } from "../services/Image.ts"
import { parseJson } from "../streams/codec/goJson.ts"
import { verify } from "../streams/verify.ts"
import { blobPath, blobSize, openRemoteBlob, readBlobFile } from "./layout/blobFile.ts"
import { checkLayoutVersion, type IndexFile, initializeLayout, makeIndexFile } from "./layout/indexFile.ts"
import { openIngestFile, sweepIngestFiles } from "./layout/ingestFile.ts"
import { type Attempts, makeAttempts } from "./layout/layoutFailure.ts"
import { isListedType, withListed } from "./layout/layoutIndex.ts"
import { makeTags } from "./layout/layoutTags.ts"
import { makeReferrerGraph } from "./layout/referrerGraph.ts"

export interface LayoutOptions {
  /** The directory; made absolute when the layer is built. It is created with its parents unless it is read-only. */
  readonly root: string
  /** Nothing is written, not even an empty index: what is not a layout cannot be opened. */
  readonly readOnly?: boolean
}

type Shape = ContentStore["Service"]

export const layer = (options: LayoutOptions) => Layer.effect(ContentStore, make(options))

const make = Effect.fn("ContentStoreLayout.open")(function* ({ root, readOnly = false }: LayoutOptions) {
  const attempts = makeAttempts(path.resolve(root))
  const index = yield* makeIndexFile(attempts)
  yield* readOnly ? openExisting(attempts) : openOrCreate(attempts, index)
  yield* index.read("open", attempts.root)

  const blobs = makeBlobs(attempts)
  const referrersOf = makeReferrerGraph(blobs.readDocument)
  const refuseChange = Effect.fnUntraced(function* (operation: "ingest" | "tag" | "untag", reference: string) {
    if (readOnly) yield* attempts.failure(operation, reference, "it was opened for reading only")
  })

  const list = (descriptor: Descriptor) =>
    index.change("ingest", descriptor.digest, (current) => withListed(current, descriptor))

  const ingest: Shape["ingest"] = Effect.fn("ContentStoreLayout.ingest")(function* (descriptor, content) {
    const { digest, size, mediaType } = descriptor
    yield* Effect.annotateCurrentSpan({ digest, size })
    yield* refuseChange("ingest", digest)
    if ((yield* blobSize(attempts, "ingest", digest)) !== size) yield* storeBlob(attempts, descriptor, content)
    if (!isListedType(mediaType)) return
    const current = yield* index.read("ingest", digest)
    if (!current.listed.has(digest)) yield* list(descriptor)
  })

  return ContentStore.of({
    location: attempts.root,
    ...blobs,
    ...makeTags(attempts, index, refuseChange),
    ingest,
    referrers: Effect.fn("ContentStoreLayout.referrers")(function* (subject, artifactType) {
      return yield* referrersOf(yield* index.read("referrers", subject), subject, artifactType)
    }),
    label: () => Effect.void
  })
})

const openExisting = ({ root, attempt, failure }: Attempts) =>
  attempt("open", root, () => checkLayoutVersion(root)).pipe(
    Effect.flatMap((found) =>
      found === "present"
        ? Effect.void
        : Effect.fail(failure("open", root, "it is no OCI image layout: it has no file oci-layout"))
    )
  )

const openOrCreate = Effect.fnUntraced(function* (attempts: Attempts, { locked }: IndexFile) {
  const { root, attempt } = attempts
  yield* attempt("open", root, () => fs.mkdir(path.join(root, "blobs", "sha256"), { recursive: true }))
  yield* locked("open", root, initializeLayout(attempts))
  yield* sweepIngestFiles(attempts)
})

/** The part of the store that knows no index. */
const makeBlobs = (attempts: Attempts) => {
  const read: Shape["read"] = (descriptor) =>
    readBlobFile(attempts, descriptor.digest).pipe(verify(descriptor, blobPath(attempts.root, descriptor.digest)))

  const readDocument: Shape["readDocument"] = Effect.fnUntraced(function* (descriptor) {
    const { digest, size } = descriptor
    if (size > maxDocumentBytes) {
      return yield* attempts.failure("read", digest, `it has ${size} bytes, a document at most ${maxDocumentBytes}`)
    }
    return Buffer.concat(yield* Stream.runCollect(read(descriptor)))
  })

  const exists: Shape["exists"] = (digest) =>
    Effect.map(blobSize(attempts, "exists", digest), (size) => size !== undefined)
  const open: Shape["open"] = (descriptor) => openRemoteBlob(attempts, descriptor)
  return { read, readDocument, exists, open }
}

const storeBlob = <E, R>(attempts: Attempts, descriptor: Descriptor, content: Stream.Stream<Uint8Array, E, R>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const { attempt, failure, root } = attempts
      const { digest, size, mediaType } = descriptor
      const isDocument = isListedType(mediaType)
      if (isDocument && size > maxDocumentBytes) {
        return yield* failure("ingest", digest, `a manifest of ${size} bytes; at most ${maxDocumentBytes} are taken`)
      }
      const file = yield* openIngestFile(attempts, "ingest", digest, path.basename(blobPath(root, digest)))
      const write = (chunk: Uint8Array) => attempt("ingest", digest, () => file.handle.writeFile(chunk))
      const verified = content.pipe(verify(descriptor, digest))
      if (isDocument) {
        const bytes = Buffer.concat(yield* Stream.runCollect(verified))
        yield* refuseBadJson(attempts, digest, bytes)
        yield* write(bytes)
      } else {
        yield* Stream.runForEach(verified, write)
      }
      yield* file.commit(blobPath(root, digest), 0o444)
    })
  )

const refuseBadJson = ({ failure }: Attempts, digest: Digest, bytes: Uint8Array) =>
  Effect.try({
    try: () => parseJson(bytes),
    catch: (cause) => failure("ingest", digest, "it is called a manifest but is no JSON", cause)
  })

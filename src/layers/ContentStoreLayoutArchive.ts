/**
 * A content store in an OCI image layout that lies in an uncompressed tar archive: read-only, nothing is unpacked.
 *
 * The archive is opened once, and closed with the scope; whoever replaces the file under its name does not disturb.
 */
import { Effect, Layer, type Scope } from "effect"
import { Buffer } from "node:buffer"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { ContentNotFound, ContentStore, type ContentStoreFailed } from "../services/ContentStore.ts"
import { hexOf } from "../services/Descriptor.ts"
import { causeMessage } from "../services/causeMessage.ts"
import { type ArchiveEntry, readArchiveEntries } from "./layout/archiveEntries.ts"
import { checkVersion, maxIndexBytes, maxVersionBytes } from "./layout/indexFile.ts"
import { type Attempts, makeAttempts, type Operation } from "./layout/layoutFailure.ts"
import { parseLayoutIndex } from "./layout/layoutIndex.ts"
import type { LayoutMedium } from "./layout/layoutMedium.ts"
import { makeLayoutReader } from "./layout/layoutReader.ts"

export interface LayoutArchiveOptions {
  /** The tar file. */
  readonly path: string
  /** Read the layout although the file is missing that says it is one. */
  readonly withoutLayoutFile?: boolean
}

type Shape = ContentStore["Service"]

export interface LayoutArchive extends Shape {
  /** The file `index.json` as it is. */
  readonly indexBytes: Uint8Array
}

export const layer = (options: LayoutArchiveOptions) =>
  Layer.effect(ContentStore, Effect.map(open(options), ContentStore.of))

const blobFolder = "blobs/sha256/"

const archiveMedium = (
  attempts: Attempts,
  handle: fs.FileHandle,
  entries: ReadonlyMap<string, ArchiveEntry>
): LayoutMedium => {
  const { root, failure } = attempts
  return {
    attempts,
    pathOf: (digest) => `${root}:${blobFolder}${hexOf(digest)}`,
    sizeOf: (_operation, digest) => {
      const entry = entries.get(blobFolder + hexOf(digest))
      return Effect.succeed(entry?.isFile === true ? entry.size : undefined)
    },
    open: Effect.fnUntraced(function* (operation, digest) {
      const entry = entries.get(blobFolder + hexOf(digest))
      if (entry === undefined) return yield* new ContentNotFound({ store: root, reference: digest })
      if (!entry.isFile) return yield* failure(operation, digest, "its entry is no regular file: unsupported")
      return { handle, offset: entry.offset, size: entry.size }
    }),
    names: Effect.sync(() =>
      [...entries.keys()]
        .filter((name) => name.startsWith(blobFolder))
        .map((name) => name.slice(blobFolder.length))
        .sort()
    )
  }
}

/** The store by itself, as long as its scope. */
export const open: (options: LayoutArchiveOptions) => Effect.Effect<LayoutArchive, ContentStoreFailed, Scope.Scope> =
  Effect.fn("ContentStoreLayoutArchive.open")(function* ({ path: archive, withoutLayoutFile = false }) {
    const attempts = makeAttempts(path.resolve(archive))
    const { root, attempt, failure } = attempts
    const handle = yield* Effect.acquireRelease(
      attempt("open", root, () => fs.open(root, "r")),
      (opened) => Effect.promise(() => opened.close())
    )
    const entries = yield* readArchiveEntries(attempts, handle)

    const readFile = Effect.fnUntraced(function* (name: string, limit: number) {
      const entry = entries.get(name)
      if (entry === undefined) return undefined
      if (!entry.isFile || entry.size > limit) {
        return yield* failure("open", root, `its ${name} is not a file of at most ${limit} bytes`)
      }
      return yield* attempt("open", root, async () => {
        const bytes = Buffer.alloc(entry.size)
        const { bytesRead } = await handle.read(bytes, 0, bytes.length, entry.offset)
        return bytes.subarray(0, bytesRead)
      })
    })

    const version = yield* readFile("oci-layout", maxVersionBytes)
    if (version !== undefined) yield* attempt("open", root, () => checkVersion(version))
    else if (!withoutLayoutFile) {
      return yield* failure(
        "open",
        root,
        "it is no OCI image layout: failed to open OCI layout file: it has no file oci-layout"
      )
    }
    const indexBytes = yield* readFile("index.json", maxIndexBytes)
    if (indexBytes === undefined) {
      return yield* failure(
        "open",
        root,
        "invalid OCI Image Index: failed to open index file: it has no file index.json"
      )
    }
    const index = yield* Effect.try({
      try: () => parseLayoutIndex(indexBytes),
      catch: (cause) =>
        failure("open", root, `invalid OCI Image Index: failed to decode index file: ${causeMessage(cause)}`, cause)
    })

    const refuseChange = (operation: Operation, reference: string) =>
      Effect.fail(failure(operation, reference, "an archive is only read"))
    const reader = makeLayoutReader(
      archiveMedium(attempts, handle, entries),
      {
        read: () => Effect.succeed(index),
        change: refuseChange,
        update: refuseChange,
        locked: refuseChange
      },
      refuseChange
    )
    yield* reader.checkGraph
    return {
      location: root,
      ...reader.store,
      ingest: ({ digest }) => refuseChange("ingest", digest),
      delete: ({ digest }) => refuseChange("delete", digest),
      collectGarbage: refuseChange("collect", root),
      withLease: (effect) => effect,
      label: () => Effect.void,
      indexBytes
    }
  })

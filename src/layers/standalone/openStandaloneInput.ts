/**
 * Opens the OCI layout that a standalone conversion reads: a directory or an archive, as it lies there (CLI spec, section 6).
 *
 * Nothing of it is copied: it is the lower, read-only part of a store whose upper part is a scratch directory, which is gone with the
 * scope. Only a compressed archive is inflated into the scratch directory first.
 */
import { Effect, type Scope } from "effect"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { causeMessage } from "../../services/causeMessage.ts"
import type { ContentStore, ContentStoreError } from "../../services/ContentStore.ts"
import type { ContentMismatch, Descriptor } from "../../services/Descriptor.ts"
import type { SourceImage } from "../../services/ImageSource.ts"
import * as ContentStoreLayout from "../ContentStoreLayout.ts"
import * as ContentStoreLayoutArchive from "../ContentStoreLayoutArchive.ts"
import { imageInStore } from "../imageInStore.ts"
import { maxIndexBytes } from "../layout/indexFile.ts"
import { errorCode } from "../layout/layoutFailure.ts"
import { overlayStore } from "./overlayStore.ts"
import { rootDescriptor } from "./rootDescriptor.ts"
import { StandaloneFailed } from "./StandaloneFailed.ts"
import { unpackedArchive } from "./unpackedArchive.ts"

export interface StandaloneInput {
  /** Reads the input, and takes what the conversion makes. */
  readonly store: ContentStore["Service"]
  /** What is to be converted. */
  readonly root: Descriptor
  /** The same as an image, for `IndexBuilder`. */
  readonly image: SourceImage
  /** A directory for the artifacts data base of the conversion; gone with the scope. */
  readonly scratch: string
}

export interface StandaloneOptions {
  /** Where the scratch directory is made when the system has no temporary directory: beside the output. */
  readonly fallbackDirectory?: string
}

type StandaloneError = StandaloneFailed | ContentStoreError | ContentMismatch

/** System errors in the words of the reference. */
const reasonOf = (operation: string, file: string, cause: unknown): string =>
  errorCode(cause) === "ENOENT" ? `${operation} ${file}: no such file or directory` : causeMessage(cause)

const makeScratch = (parent: string) => fs.mkdtemp(path.join(parent, "soci-oci-"))

const scratchDirectory = (fallback: string | undefined) => {
  return Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        try {
          return await makeScratch(tmpdir())
        } catch (cause) {
          if (fallback === undefined || errorCode(cause) !== "ENOENT") throw cause
          return makeScratch(fallback)
        }
      },
      catch: (cause) =>
        new StandaloneFailed({ attempted: "failed to create temporary directory", reason: causeMessage(cause), cause })
    }),
    (directory) => Effect.promise(() => fs.rm(directory, { recursive: true, force: true }))
  )
}

const readIndex = (root: string) =>
  Effect.tryPromise({
    try: async () => {
      const file = path.join(root, "index.json")
      const stat = await fs.stat(file)
      if (!stat.isFile()) throw new Error("it is not a regular file")
      if (stat.size > maxIndexBytes) throw new Error(`it has ${stat.size} bytes, at most ${maxIndexBytes} are read`)
      return await fs.readFile(file)
    },
    catch: (cause) =>
      new StandaloneFailed({
        attempted: `failed to read index.json from ${root}`,
        reason: reasonOf("open", path.join(root, "index.json"), cause),
        cause
      })
  })

const openDirectory = Effect.fnUntraced(function* (root: string) {
  const indexBytes = yield* readIndex(root)
  const store = yield* ContentStoreLayout.open({ root, readOnly: true, withoutLayoutFile: true })
  return { ...store, indexBytes }
})

const openArchive = Effect.fnUntraced(function* (archive: string, scratch: string) {
  const readable = yield* unpackedArchive(archive, scratch)
  return yield* ContentStoreLayoutArchive.open({ path: readable, withoutLayoutFile: true }).pipe(
    Effect.mapError((cause) => {
      const isTarError = /^archive\/tar: |^unexpected EOF$/.test(cause.reason)
      const attempted = isTarError ? `failed to extract OCI tar ${archive}` : `failed to read ${archive}`
      return new StandaloneFailed({ attempted, reason: cause.reason, cause })
    })
  )
})

export const openStandaloneInput: (
  input: string,
  options?: StandaloneOptions
) => Effect.Effect<StandaloneInput, StandaloneError, Scope.Scope> = Effect.fn("openStandaloneInput")(function* (
  input: string,
  { fallbackDirectory }: StandaloneOptions = {}
) {
  const stat = yield* Effect.tryPromise({
    try: () => fs.stat(input),
    catch: (cause) =>
      new StandaloneFailed({
        attempted: `failed to access input ${input}`,
        reason: reasonOf("stat", input, cause),
        cause
      })
  })
  const scratch = yield* scratchDirectory(fallbackDirectory)
  const lower = yield* stat.isDirectory() ? openDirectory(input) : openArchive(input, scratch)
  const upper = yield* ContentStoreLayout.open({ root: path.join(scratch, "store") })
  const store = overlayStore(lower, upper)
  const root = yield* rootDescriptor(store, lower.indexBytes)
  const image = imageInStore(store, { _tag: "Layout", path: input, tag: undefined, digest: undefined }, root)
  return { store, root, image, scratch }
})

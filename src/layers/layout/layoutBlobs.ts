/**
 * The part of a layout that knows no index: its blobs, read whole, by ranges and as documents.
 */
import { Effect, Schema, Stream } from "effect"
import { type ContentStore, type StoredBlob } from "../../services/ContentStore.ts"
import { type Descriptor, Digest } from "../../services/Descriptor.ts"
import { maxDocumentBytes } from "../../services/Image.ts"
import { BlobReadFailed, type RemoteBlob } from "../../services/RemoteBlob.ts"
import { verify } from "../../streams/verify.ts"
import { fileRanges, readRange } from "../fileBlob.ts"
import type { LayoutMedium, OpenedBlob } from "./layoutMedium.ts"

type Shape = ContentStore["Service"]
export type LayoutBlobs = Pick<Shape, "read" | "readDocument" | "exists" | "open" | "blobs">

const isDigest = Schema.is(Digest)

export const makeLayoutBlobs = (medium: LayoutMedium): LayoutBlobs => {
  const { failure } = medium.attempts

  const bytesOf = (digest: Digest) =>
    Stream.unwrap(
      Effect.map(medium.open("read", digest), ({ handle, offset, size }) =>
        readRange(handle, offset, size, (cause) => failure("read", digest, String(cause), cause))
      )
    )

  const read: Shape["read"] = (descriptor) =>
    bytesOf(descriptor.digest).pipe(verify(descriptor, medium.pathOf(descriptor.digest)))

  const readDocument: Shape["readDocument"] = Effect.fnUntraced(function* (descriptor) {
    const { digest, size } = descriptor
    if (size > maxDocumentBytes) {
      return yield* failure("read", digest, `it has ${size} bytes, a document at most ${maxDocumentBytes}`)
    }
    return Buffer.concat(yield* Stream.runCollect(read(descriptor)))
  })

  const open: Shape["open"] = Effect.fnUntraced(function* (descriptor) {
    const { digest } = descriptor
    const opened = yield* medium.open("open", digest)
    if (opened.size === descriptor.size) return rangedBlob(descriptor, medium.pathOf(digest), opened)
    const has = `${medium.pathOf(digest)} has ${opened.size} bytes instead of ${descriptor.size}`
    return yield* failure("open", digest, `${has}; remove the file and fetch it again`)
  })

  const stored = (name: string) => {
    const digest = `sha256:${name}`
    if (!isDigest(digest)) return Effect.undefined
    return Effect.map(medium.sizeOf("list", digest), (size): StoredBlob | undefined =>
      size === undefined ? undefined : { digest, size }
    )
  }

  const blobs: Shape["blobs"] = Stream.unwrap(Effect.map(medium.names, Stream.fromIterable)).pipe(
    Stream.mapEffect(stored),
    Stream.filter((blob) => blob !== undefined)
  )

  const exists: Shape["exists"] = (digest) => Effect.map(medium.sizeOf("exists", digest), (size) => size !== undefined)

  return { read, readDocument, exists, open, blobs }
}

/** Ranges of a blob that begins somewhere in a file. */
const rangedBlob = (descriptor: Descriptor, location: string, { handle, offset, size }: OpenedBlob): RemoteBlob => {
  const ranges = fileRanges(offset + size, location, handle)
  return {
    descriptor,
    location,
    read: (start, length) =>
      start >= 0 && length >= 0 && start + length <= size
        ? ranges(offset + start, length)
        : Stream.fail(
            new BlobReadFailed({
              blob: location,
              offset: start,
              length,
              reason: `the blob has only ${size} bytes`
            })
          )
  }
}

/**
 * Blobs of containerd, read: whole, as documents and by ranges.
 *
 * Each range is asked for in windows, so that a slow reader holds no more than one window in memory and no call open: containerd
 * sends in messages of 1 MiB, and gRPC reads ahead of whoever takes them.
 */
import { Bytes, Effect, Stream } from "effect"
import type { ContentStore } from "../../services/ContentStore.ts"
import type { Digest } from "../../services/Descriptor.ts"
import { maxDocumentBytes } from "../../services/Image.ts"
import { BlobReadFailed } from "../../services/RemoteBlob.ts"
import { verify } from "../../streams/verify.ts"
import { ContainerdCallFailed, type ContainerdError, hasCode } from "./containerdErrors.ts"
import type { ContainerdConnection } from "./ContainerdConnection.ts"
import type { ContentFailures } from "./contentFailure.ts"
import { Content } from "./gen/content_pb.ts"

type Shape = ContentStore["Service"]

/** At most this much of a blob is on its way to a reader. */
const windowBytes = 4 * 1024 * 1024

const wrong = (details: string) => new ContainerdCallFailed({ method: "Read", code: "DATA_LOSS", details })

/** Exactly the bytes [offset, offset + length). */
export const readRange = (
  { serverStream }: ContainerdConnection["Service"],
  digest: Digest,
  offset: number,
  length: number
): Stream.Stream<Uint8Array, ContainerdError> => {
  const readWindow = (start: number) => {
    const end = Math.min(start + windowBytes, offset + length)
    let at = start
    return serverStream(Content.method.read, { digest, offset: BigInt(start), size: BigInt(end - start) }).pipe(
      Stream.mapEffect((message) => {
        if (message.data.length > end - at)
          return Effect.fail(wrong(`more came than the bytes from ${start} to ${end}`))
        at += message.data.length
        return Effect.succeed(message.data)
      }),
      Stream.onEnd(
        Effect.suspend(() => (at === end ? Effect.void : Effect.fail(wrong(`it ends at ${at} instead of ${end}`))))
      )
    )
  }
  const windows = Array.from({ length: Math.ceil(length / windowBytes) }, (_, index) => offset + index * windowBytes)
  return Stream.fromIterable(windows).pipe(Stream.rechunk(1), Stream.flatMap(readWindow))
}

export const makeContentReads = (
  connection: ContainerdConnection["Service"],
  { failure, failed, orNotFound }: ContentFailures
): Pick<Shape, "exists" | "read" | "readDocument" | "open"> & {
  readonly sizeOf: (digest: Digest) => Effect.Effect<number, ContainerdError>
} => {
  const { address, namespace, unary } = connection

  const sizeOf = (digest: Digest) =>
    Effect.map(unary(Content.method.info, { digest }), ({ info }) => Number(info?.size ?? -1))

  const exists: Shape["exists"] = Effect.fnUntraced(function* (digest) {
    return yield* sizeOf(digest).pipe(
      Effect.as(true),
      Effect.catchIf(
        (error) => hasCode(error, "NOT_FOUND"),
        () => Effect.succeed(false)
      ),
      Effect.mapError(failed("exists", digest))
    )
  })

  const read: Shape["read"] = (descriptor) => {
    const { digest } = descriptor
    // One byte more than was promised is enough to see that there is more.
    return Effect.map(sizeOf(digest), (size) =>
      readRange(connection, digest, 0, Math.min(size, descriptor.size + 1))
    ).pipe(
      Stream.unwrap,
      Stream.mapError(orNotFound("read", digest)),
      verify(descriptor, `${digest} in ${address} (${namespace})`)
    )
  }

  const readDocument: Shape["readDocument"] = Effect.fnUntraced(function* (descriptor) {
    const { digest, size } = descriptor
    if (size > maxDocumentBytes) {
      return yield* failure("read", digest, `it has ${size} bytes, a document at most ${maxDocumentBytes}`)
    }
    return Bytes.concat(yield* Stream.runCollect(read(descriptor)))
  })

  const open: Shape["open"] = Effect.fnUntraced(function* (descriptor) {
    const { digest } = descriptor
    const size = yield* Effect.mapError(sizeOf(digest), orNotFound("open", digest))
    if (size !== descriptor.size) {
      return yield* failure(
        "open",
        digest,
        `it has ${size} bytes instead of ${descriptor.size}: the descriptor is wrong`
      )
    }
    const location = `${address}@${digest}`
    return {
      descriptor,
      location,
      read: (offset: number, length: number) => {
        const because = (reason: string) => new BlobReadFailed({ blob: location, offset, length, reason })
        if (!(offset >= 0 && length >= 0 && offset + length <= size)) {
          return Stream.fail(because(`the blob has only ${size} bytes`))
        }
        return Stream.mapError(
          readRange(connection, digest, offset, length),
          (cause) => new BlobReadFailed({ blob: location, offset, length, reason: cause.message, cause })
        )
      }
    }
  })

  return { sizeOf, exists, read, readDocument, open }
}

/**
 * Takes content into containerd: verified here and there, visible once it is complete. What is already there is not read; a lease that is
 * held takes it up.
 */
import { Bytes, type Duration, Effect, RcMap, type Scope, Semaphore, Stream } from "effect"
import type { ContentStore } from "../../services/ContentStore.ts"
import { ContentMismatch, type Descriptor, type Digest } from "../../services/Descriptor.ts"
import { maxDocumentBytes } from "../../services/Image.ts"
import { parseJson } from "../../streams/codec/goJson.ts"
import { inPieces } from "../../streams/inPieces.ts"
import { verify } from "../../streams/verify.ts"
import { isListedType } from "../layout/manifestLinks.ts"
import type { ContainerdError } from "./containerdErrors.ts"
import type { ContainerdConnection } from "./ContainerdConnection.ts"
import type { ContentFailures } from "./contentFailure.ts"
import { awaitUpload } from "./uploadTurn.ts"

/** Each piece costs a round trip; containerd takes messages of at most 16 MiB, and the reference sends half as much. */
const pieces = inPieces({ atLeast: 1024 * 1024, atMost: 8 * 1024 * 1024 })

const oneTurn: (digest: Digest) => Effect.Effect<Semaphore.Semaphore> = () => Semaphore.make(1)

export const makeIngest = Effect.fnUntraced(function* (
  connection: ContainerdConnection["Service"],
  failures: ContentFailures,
  sizeOf: (digest: Digest) => Effect.Effect<number, ContainerdError>,
  /** How long another client's upload of the same blob may get no further before we no longer wait for it. */
  patience: Duration.Duration
): Effect.fn.Return<ContentStore["Service"]["ingest"], never, Scope.Scope> {
  // Among ourselves one uploads and the others wait here, where it costs containerd nothing.
  const turns = yield* RcMap.make({ lookup: oneTurn })

  const upload = Effect.fnUntraced(function* <E, R>(descriptor: Descriptor, source: Stream.Stream<Uint8Array, E, R>) {
    const { digest } = descriptor
    const orFail = Effect.mapError(failures.failed("ingest", digest))
    const writer = yield* awaitUpload(connection, failures, descriptor, patience)
    if (writer === undefined) return yield* checkSize(descriptor, yield* orFail(sizeOf(digest)))
    yield* Stream.runForEach(pieces(source), (piece) => orFail(writer.write(piece)))
    yield* orFail(writer.commit)
  })

  return Effect.fn("ContentStoreContainerd.ingest")(function* (descriptor, content) {
    const { digest, size, mediaType } = descriptor
    yield* Effect.annotateCurrentSpan({ digest, size })
    if (isListedType(mediaType) && size > maxDocumentBytes) {
      const reason = `a manifest of ${size} bytes; at most ${maxDocumentBytes} are taken`
      return yield* failures.failure("ingest", digest, reason)
    }
    const verified = content.pipe(verify(descriptor, digest))
    const source = isListedType(mediaType) ? readableJson(failures, digest, verified) : verified
    const oneAtATime = Effect.flatMap(RcMap.get(turns, digest), (turn) =>
      turn.withPermits(1)(Effect.scoped(upload(descriptor, source)))
    )
    yield* Effect.scoped(oneAtATime)
  })
})

const checkSize = ({ digest, size }: Descriptor, actualSize: number) =>
  actualSize === size
    ? Effect.void
    : Effect.fail(
        new ContentMismatch({
          subject: digest,
          expectedDigest: digest,
          expectedSize: size,
          actualDigest: digest,
          actualSize
        })
      )

/** The bytes of a manifest, once they were seen to be JSON. */
const readableJson = <E, R>(failures: ContentFailures, digest: Digest, bytes: Stream.Stream<Uint8Array, E, R>) =>
  Stream.fromEffect(
    Effect.gen(function* () {
      const document = Bytes.concat(yield* Stream.runCollect(bytes))
      yield* Effect.try({
        try: () => parseJson(document),
        catch: () => failures.failure("ingest", digest, "it is called a manifest but is no JSON")
      })
      return document
    })
  )

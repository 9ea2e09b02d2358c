/**
 * Takes a blob into a layout directory: written beside, verified, synced, and renamed to its place.
 */
import { Effect, Stream } from "effect"
import * as path from "node:path"
import type { Descriptor, Digest } from "../../services/Descriptor.ts"
import { maxDocumentBytes } from "../../services/Image.ts"
import { parseJson } from "../../streams/codec/goJson.ts"
import { verify } from "../../streams/verify.ts"
import { blobPath } from "./blobFile.ts"
import { openIngestFile } from "./ingestFile.ts"
import type { Attempts } from "./layoutFailure.ts"
import { isListedType } from "./manifestLinks.ts"

export const storeBlob = <E, R>(attempts: Attempts, descriptor: Descriptor, content: Stream.Stream<Uint8Array, E, R>) =>
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

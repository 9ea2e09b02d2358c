/**
 * An artifact that a command is given the digest of: its row in the data base, and its bytes in the content store, with the
 * words of the reference where one of them is missing.
 */
import { Effect, Option, Stream } from "effect"
import type { ArtifactEntry, ArtifactsDb } from "../../services/ArtifactsDb.ts"
import { ContentNotFound, type ContentStore } from "../../services/ContentStore.ts"
import type { Descriptor, Digest } from "../../services/Descriptor.ts"
import { parseDigestText } from "../../streams/codec/digestText.ts"
import { CommandRefused } from "../commandFailure.ts"

/** A digest that was typed. */
export const readDigest = (text: string): Effect.Effect<Digest, CommandRefused> =>
  Effect.mapError(Effect.fromResult(parseDigestText(text)), (reason) => new CommandRefused({ reason }))

const isKnownAtAll = (artifacts: ArtifactsDb["Service"]) => Effect.map(Stream.runHead(artifacts.entries), Option.isSome)

/** The row of a digest; a data base that never had a row answers differently, as the reference's does. */
export const findRow = Effect.fnUntraced(function* (artifacts: ArtifactsDb["Service"], digest: Digest) {
  return yield* artifacts
    .get(digest)
    .pipe(
      Effect.catchTag("ArtifactNotFound", (missing) =>
        Effect.flatMap(isKnownAtAll(artifacts), (known) =>
          Effect.fail(known ? missing : new CommandRefused({ reason: "soci_artifacts not found" }))
        )
      )
    )
})

/** What a row says its content is. */
export const rowDescriptor = ({ mediaType, artifactType, digest, size }: ArtifactEntry): Descriptor => ({
  mediaType,
  digest,
  size,
  ...(artifactType === "" ? {} : { artifactType })
})

/** The reference names what it does not find by its digest alone. */
export const contentMissing = (digest: string) => new CommandRefused({ reason: `content digest ${digest}: not found` })

/** A document that a row describes. */
export const readArtifact = (store: ContentStore["Service"], row: ArtifactEntry) =>
  store
    .readDocument(rowDescriptor(row))
    .pipe(Effect.catchTag("ContentNotFound", () => Effect.fail(contentMissing(row.digest))))

/** A work on stores whose content is missing: it ends as the reference would end it. */
export const inWordsOfReference = <A, E, R>(work: Effect.Effect<A, E, R>) =>
  Effect.catchIf(
    work,
    (error) => error instanceof ContentNotFound,
    ({ reference }) => Effect.fail(contentMissing(reference))
  )

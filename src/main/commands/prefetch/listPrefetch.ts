/**
 * The work of `soci prefetch list`: the prefetch artifacts of the data base, and how many spans each names.
 */
import { Clock, Effect, Option, Stream } from "effect"
import type { ArtifactEntry } from "../../../services/ArtifactsDb.ts"
import type { ContentStore } from "../../../services/ContentStore.ts"
import { coveredSpans } from "../../../services/PrefetchArtifact.ts"
import { formatAge } from "../../../streams/codec/age.ts"
import { decodePrefetchArtifact } from "../../../streams/codec/prefetchArtifact.ts"
import { openArtifactsDb, openContainerd, openContentStore } from "../../stores.ts"
import { listTable } from "../listTable.ts"
import { printJson } from "../printJson.ts"
import { rowDescriptor } from "../storedArtifact.ts"
import { writeStandardOutput } from "../standardOutput.ts"

/** As many are read at the same time. */
const concurrency = 8

/** None where the artifact cannot be read. */
const spansOf = (store: ContentStore["Service"], row: ArtifactEntry) =>
  store.readDocument(rowDescriptor(row)).pipe(
    Effect.flatMap((bytes) => Effect.fromResult(decodePrefetchArtifact(bytes))),
    Effect.map(coveredSpans),
    Effect.option
  )

/** As the reference has it: an array, or `null` for none; -1 where an artifact cannot be read. */
const asJson = (listed: ReadonlyArray<readonly [ArtifactEntry, Option.Option<number>]>) =>
  listed.length === 0
    ? null
    : listed.map(([{ digest, originalDigest, createdAt }, spans]) => ({
        Digest: digest,
        LayerDigest: originalDigest,
        TotalSpans: Option.getOrElse(spans, () => -1),
        CreatedAt: createdAt.toISOString()
      }))

export const listPrefetch = Effect.fn("soci.prefetch.list")(function* ({ json }: { readonly json: boolean }) {
  const artifacts = yield* openArtifactsDb
  const rows = yield* artifacts.entries.pipe(
    Stream.filter(({ type }) => type === "soci_prefetch"),
    Stream.runCollect
  )
  const { store } = yield* openContentStore(yield* openContainerd)
  const listed = yield* Effect.forEach(
    rows,
    (row) => Effect.map(spansOf(store, row), (spans) => [row, spans] as const),
    { concurrency }
  )
  if (json) return yield* printJson(asJson(listed))
  const now = yield* Clock.currentTimeMillis
  const cells = listed.map(([{ digest, originalDigest, createdAt }, spans]) => [
    digest,
    originalDigest,
    Option.match(spans, { onNone: () => "N/A", onSome: String }),
    formatAge(createdAt, now)
  ])
  yield* writeStandardOutput(Stream.succeed(listTable([["DIGEST", "LAYER DIGEST", "SPANS", "CREATED"], ...cells])))
}, Effect.scoped)

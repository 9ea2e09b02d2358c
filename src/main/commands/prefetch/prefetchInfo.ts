/**
 * The work of `soci prefetch info`: a prefetch artifact in words, and as it is stored.
 */
import { Effect, Result, Stream } from "effect"
import type { ArtifactEntry } from "../../../services/ArtifactsDb.ts"
import { coveredSpans, type PrefetchArtifact } from "../../../services/PrefetchArtifact.ts"
import { indentJson } from "../../../streams/codec/indentJson.ts"
import { decodePrefetchArtifact } from "../../../streams/codec/prefetchArtifact.ts"
import { CommandRefused } from "../../commandFailure.ts"
import { openArtifactsDb, openContainerd, openContentStore } from "../../stores.ts"
import { findRow, readArtifact, readDigest } from "../storedArtifact.ts"
import { writeStandardOutput } from "../standardOutput.ts"

const two = (value: number): string => String(value).padStart(2, "0")

/** Local time, to the second. */
const formatTime = (time: Date): string => {
  const date = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join("-")
  return `${date} ${[time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":")}`
}

const describe = (row: ArtifactEntry, artifact: PrefetchArtifact): ReadonlyArray<string> => [
  `Digest:        ${row.digest}`,
  `Version:       ${artifact.version}`,
  `Span Ranges:   ${artifact.spans.length}`,
  `Layer Digest:  ${row.originalDigest}`,
  `Size:          ${row.size} bytes`,
  `Created:       ${formatTime(row.createdAt)}`,
  "",
  "Prefetch Spans:",
  ...artifact.spans.flatMap(({ startSpan, endSpan, priority }, i) => [
    `  [${i}] StartSpan: ${startSpan}, EndSpan: ${endSpan} (covers ${endSpan - startSpan + 1} spans)`,
    ...(priority === 0 ? [] : [`      Priority: ${priority}`])
  ]),
  "",
  `Total spans to prefetch: ${coveredSpans(artifact)}`
]

export const prefetchInfo = Effect.fn("soci.prefetch.info")(function* (options: {
  readonly digest: string
  readonly json: boolean
}) {
  const digest = yield* readDigest(options.digest)
  const row = yield* findRow(yield* openArtifactsDb, digest)
  if (row.type !== "soci_prefetch") {
    return yield* new CommandRefused({ reason: `the provided digest is not a prefetch artifact (type: ${row.type})` })
  }
  const { store } = yield* openContentStore(yield* openContainerd)
  const bytes = yield* readArtifact(store, row)
  const artifact = yield* Effect.fromResult(decodePrefetchArtifact(bytes))
  const raw = Result.getOrElse(indentJson(Buffer.from(bytes).toString()), () => "")
  const lines = [...describe(row, artifact), ...(options.json ? ["", "Raw JSON:", raw] : [])]
  yield* writeStandardOutput(Stream.succeed(`${lines.join("\n")}\n`))
}, Effect.scoped)

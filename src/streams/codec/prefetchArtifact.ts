/**
 * Prefetch artifacts, read and written byte for byte as the reference does (index-and-artifacts spec, sections 3 and 7).
 */
import { Result } from "effect"
import {
  checkPrefetchDocument,
  InvalidPrefetchArtifact,
  type PrefetchArtifact,
  PrefetchLimits,
  type PrefetchSpan,
  prefetchVersion
} from "../../services/PrefetchArtifact.ts"
import { encodeCanonicalJson } from "./canonicalJson.ts"
import { list, parseJson, required, structure } from "./goJson.ts"

const documentForm = structure(
  required("version", ""),
  required(
    "prefetch_spans",
    [],
    list(structure(required("start_span", 0), required("end_span", 0), required("priority", 0)))
  )
)

const invalid = (kind: InvalidPrefetchArtifact["kind"], reason: string) => new InvalidPrefetchArtifact({ kind, reason })

const malformed = (cause: Error) =>
  invalid("malformed", `failed to unmarshal prefetch artifact: ${cause.message.slice(0, 400)}`)

const empty = () => invalid("empty", "prefetch artifact is empty")

const parse = (bytes: Uint8Array) =>
  Result.try({
    try: () => documentForm(parseJson(bytes)),
    catch: (cause) => malformed(cause instanceof Error ? cause : new Error(String(cause)))
  })

/** Reads an artifact of a known version with at least one range; what the ranges say is not checked. */
export const decodePrefetchArtifact = (bytes: Uint8Array): Result.Result<PrefetchArtifact, InvalidPrefetchArtifact> =>
  Result.gen(function* () {
    if (bytes.length > PrefetchLimits.bytes) {
      const reason = `a prefetch artifact of ${bytes.length} bytes; at most ${PrefetchLimits.bytes} are read`
      return yield* Result.fail(invalid("too large", reason))
    }
    const { version, prefetch_spans: ranges } = yield* Result.mapError(
      checkPrefetchDocument(yield* parse(bytes)),
      malformed
    )
    if (version !== prefetchVersion) {
      const reason = `unsupported prefetch artifact version: ${version.slice(0, 100)} (expected ${prefetchVersion})`
      return yield* Result.fail(invalid("unsupported version", reason))
    }
    if (ranges.length === 0) return yield* Result.fail(empty())
    if (ranges.length > PrefetchLimits.spans) {
      const reason = `a prefetch artifact with ${ranges.length} ranges; at most ${PrefetchLimits.spans} are read`
      return yield* Result.fail(invalid("too large", reason))
    }
    const spans = ranges.map(({ start_span, end_span, priority }): PrefetchSpan => {
      return { startSpan: start_span, endSpan: end_span, priority }
    })
    return { version, spans }
  })

/** Writes an artifact; a priority of 0 is left out. */
export const encodePrefetchArtifact = ({
  version,
  spans
}: PrefetchArtifact): Result.Result<Uint8Array, InvalidPrefetchArtifact> =>
  spans.length === 0
    ? Result.fail(empty())
    : Result.succeed(
        encodeCanonicalJson({
          version,
          prefetch_spans: spans.map(({ startSpan, endSpan, priority }) => ({
            start_span: startSpan,
            end_span: endSpan,
            priority: priority === 0 ? undefined : priority
          }))
        })
      )

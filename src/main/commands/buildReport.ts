/**
 * Tells what building an index does: the lines of the reference on standard output, bars on a terminal, or one JSON object at the end.
 */
import { Effect } from "effect"
import { hexOf } from "../../services/Descriptor.ts"
import type { BuiltIndex, IndexBuildEvent } from "../../services/IndexBuilder.ts"
import { SociAnnotation } from "../../services/SociIndex.ts"
import { formatPlatform } from "../../streams/codec/platform.ts"
import type { ProgressBars } from "../progress/ProgressBars.ts"

/** The line for an event; undefined for one that is no news. */
const lineOf = (event: IndexBuildEvent): string | undefined => {
  switch (event._tag) {
    case "LayerSkipped":
      return event.skipped.message
    case "LayerBuilt":
      return `layer ${event.layer.digest} -> ztoc ${event.ztoc.digest}`
    case "LayerReused":
      return `layer ${event.layer.digest} -> ztoc ${event.ztoc.digest} (already exists)`
    case "PrefetchBuilt":
      return `Created prefetch artifact for layer ${event.layer.digest}: ${event.prefetch.digest}`
    case "LayerProgress":
    case "PrefetchFileMissing":
      return undefined
  }
}

/** Handles the events of builds. With `json` nothing is said but warnings. */
export const reportBuild =
  (bars: ProgressBars["Service"], { json }: { readonly json: boolean }) =>
  (event: IndexBuildEvent): Effect.Effect<void> => {
    if (event._tag === "PrefetchFileMissing") {
      return bars.apart(Effect.logWarning(`prefetch file ${event.path} not found in any layer`))
    }
    if (event._tag === "LayerSkipped") return json ? Effect.void : bars.print(event.skipped.message)
    const label = `index ${hexOf(event.layer.digest).slice(0, 12)}`
    if (event._tag === "LayerProgress") return bars.advance(label, event.compressedBytes, event.layer.size)
    const line = lineOf(event)
    return Effect.andThen(bars.finish(label), json || line === undefined ? Effect.void : bars.print(line))
  }

/** An index as `--json` shows it. */
export const indexJson = ({ descriptor, version, platform, manifest, ztocs, prefetch, skipped }: BuiltIndex) => ({
  Digest: descriptor.digest,
  Size: descriptor.size,
  Version: version,
  Platform: formatPlatform(platform),
  ManifestDigest: manifest.digest,
  Ztocs: ztocs.map(({ digest, size, annotations }) => ({
    Digest: digest,
    Size: size,
    LayerDigest: annotations?.[SociAnnotation.imageLayerDigest] ?? ""
  })),
  PrefetchArtifacts: prefetch.map(({ digest, size, annotations }) => ({
    Digest: digest,
    Size: size,
    LayerDigest: annotations?.[SociAnnotation.imageLayerDigest] ?? ""
  })),
  SkippedLayers: skipped.map(({ layer, reason }) => ({ LayerDigest: layer.digest, Reason: reason }))
})

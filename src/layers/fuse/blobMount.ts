/**
 * A mount of blobs whose files come and go, whatever driver serves it: names are taken once at a time, numbers once for ever.
 */
import { Effect, type Scope } from "effect"
import { type BlobMount, type FuseMount, MountFailed } from "../../services/FuseDriver.ts"
import type { LayerSpans } from "../../services/SpanStore.ts"
import { rootId } from "../../streams/codec/fuse.ts"

export interface ShownBlob<Source> {
  readonly node: number
  readonly name: string
  readonly size: number
  readonly source: Source
}

/** How a driver shows files. */
export interface BlobServing<Source> extends FuseMount {
  ofLayer(spans: LayerSpans): Effect.Effect<Source, MountFailed, Scope.Scope>
  ofBytes(bytes: Uint8Array): Source
  show(file: ShownBlob<Source>): Effect.Effect<void>
  /** Takes the file away and fails who still reads it. */
  hide(node: number): Effect.Effect<void>
}

export const makeBlobMount = <Source>(serving: BlobServing<Source>): BlobMount => {
  const { mountPoint, counts, ofLayer, ofBytes, show, hide } = serving
  const names = new Set<string>()
  let nodes = rootId

  const claim = (name: string) =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        const reason = names.has(name) ? "there is one of that name" : invalidName(name)
        if (reason !== undefined) {
          return new MountFailed({ type: "fuse", mountPoint, reason: `the file "${name}" cannot be shown: ${reason}` })
        }
        names.add(name)
        return Effect.succeed(++nodes)
      }),
      () => Effect.sync(() => names.delete(name))
    )

  const add = Effect.fnUntraced(function* (name: string, size: number, source: Source) {
    const node = yield* claim(name)
    yield* Effect.acquireRelease(show({ node, name, size, source }), () => hide(node))
    return `${mountPoint}/${name}`
  })

  return {
    mountPoint,
    counts,
    addLayer: (name, spans) => Effect.flatMap(ofLayer(spans), (source) => add(name, spans.size, source)),
    addBytes: (name, bytes) => Effect.suspend(() => add(name, bytes.length, ofBytes(bytes)))
  }
}

/** File names of Linux: at most 255 bytes, neither empty nor dots, without slash and NUL. */
const invalidName = (name: string): string | undefined => {
  if (name === "" || name === "." || name === ".." || /[/\0]/.test(name)) return "that is no file name"
  return Buffer.byteLength(name) > 255 ? "the name is longer than 255 bytes" : undefined
}

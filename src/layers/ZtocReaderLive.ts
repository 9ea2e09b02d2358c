/**
 * Reads layers by their ztocs through the inflater, with nothing kept between reads.
 */
import { Effect, Fiber, Layer, Result, Stream } from "effect"
import { availableParallelism } from "node:os"
import { Inflate } from "../services/Inflate.ts"
import { InvalidZtoc, type TocEntry, type Ztoc } from "../services/Ztoc.ts"
import { ZtocLimits } from "../services/ZtocLimits.ts"
import {
  type FileRange,
  FileNotInZtoc,
  type LayerBytes,
  type ReadOptions,
  TooLargeForMemory,
  type ZtocLayer,
  ZtocReader
} from "../services/ZtocReader.ts"
import { spansOf } from "../streams/codec/zinfo.ts"
import { layoutEntries, type PlacedEntry } from "../streams/codec/ztoc.ts"
import { findEntry } from "../streams/extractEntry.ts"
import { afterHeader } from "../streams/extractFile.ts"
import { spanAt, wantedSpans } from "../streams/extractRange.ts"
import { buildLayerTree } from "../streams/layerTree.ts"
import { checkHeaderLength, readable } from "../streams/tarHeaderCheck.ts"
import { inflateSpans, type InflateSpansOptions } from "./extract/inflateSpans.ts"
import { verifyLayer } from "./extract/verifyLayer.ts"
import { checkFront } from "./spans/openLayer.ts"

const concurrencyOf = (options: ReadOptions = {}) => Math.max(1, options.concurrency ?? availableParallelism())

const invalid = (field: string, reason: string) => new InvalidZtoc({ stage: "spans", field, reason })

/** Everything that can be checked without reading a span. */
const check = Effect.fnUntraced(function* (ztoc: Ztoc, bytes: LayerBytes) {
  const entries = yield* Effect.fromResult(layoutEntries(ztoc.entries))
  const { spans, zinfo } = yield* Effect.fromResult(spansOf(ztoc))
  if (bytes.size !== ztoc.compressedArchiveSize) {
    const reason = `${ztoc.compressedArchiveSize}, but the layer has ${bytes.size} bytes`
    return yield* invalid("compressed_archive_size", reason)
  }
  if (spans.length === 0 && ztoc.uncompressedArchiveSize > 0) {
    return yield* invalid("uncompressed_archive_size", `${ztoc.uncompressedArchiveSize} bytes in no spans`)
  }
  yield* checkFront({ digest: bytes.location, ztoc, blob: bytes }, spans)
  return { entries, spans, zinfo }
})

type Opened = Effect.Success<ReturnType<typeof check>> & { readonly ztoc: Ztoc }
type Decoding = Omit<InflateSpansOptions, "concurrency">

/** The part of a range that a file has. */
const clamp = ({ offset = 0, length = Infinity }: FileRange, size: number) => {
  const start = Math.min(Math.max(offset, 0), size)
  return { start, length: Math.max(Math.min(offset + length, size) - start, 0) }
}

/** The stream, of which nothing passes before `check` has succeeded; both begin at once. */
const after = <A, E, E2>(check: Effect.Effect<void, E2>, stream: Stream.Stream<A, E>): Stream.Stream<A, E | E2> =>
  Stream.unwrap(
    Effect.map(Effect.forkScoped(check), (fiber) =>
      stream.pipe(
        Stream.tap(() => Fiber.join(fiber)),
        Stream.onEnd(Fiber.join(fiber))
      )
    )
  )

const layerOf = ({ ztoc, entries, spans }: Opened, decoding: Decoding): ZtocLayer => {
  const range: ZtocLayer["range"] = (offset, length, options) => {
    const end = Math.min(offset + length, ztoc.uncompressedArchiveSize)
    const wanted = wantedSpans(spans, Math.max(offset, 0), end)
    const inflated = inflateSpans({ ...decoding, concurrency: concurrencyOf(options) }, wanted)
    return Stream.map(inflated, ({ content }) => content)
  }

  const checked = new WeakSet<TocEntry>()
  const markChecked = (entry: TocEntry) => Effect.sync(() => void checked.add(entry))

  /** Content that begins in the span where its headers end is cut from one stream, so that the span is inflated once. */
  const unchecked = (placed: PlacedEntry, start: number, length: number, options: ReadOptions | undefined) => {
    const { entry, headerOffset } = placed
    const header = checkHeaderLength(placed)
    if (Result.isFailure(header)) return Stream.fail(header.failure)
    const near = spanAt(spans, Math.max(entry.offset - 1, headerOffset)) === spanAt(spans, entry.offset + start)
    const data = range(entry.offset + start, length, options)
    if (near) {
      const all = range(headerOffset, entry.offset - headerOffset + start + length, options)
      return all.pipe(
        afterHeader(placed, start),
        Stream.tap(() => markChecked(entry))
      )
    }
    const headerOnly = range(headerOffset, entry.offset - headerOffset).pipe(afterHeader(placed, 0))
    return after(Effect.andThen(Stream.runDrain(headerOnly), markChecked(entry)), data)
  }

  const content: ZtocLayer["content"] = (entry, part = {}, options) => {
    const { start, length } = clamp(part, entry.size)
    if (length === 0) return Stream.empty
    if (checked.has(entry)) return range(entry.offset + start, length, options)
    const placed = entries.find((one) => one.entry === entry)
    const name = readable(entry.name)
    return placed === undefined
      ? Stream.fail(new FileNotInZtoc({ name, requested: name }))
      : unchecked(placed, start, length, options)
  }

  const contentBytes: ZtocLayer["contentBytes"] = Effect.fnUntraced(function* (entry, part = {}, options) {
    const { length } = clamp(part, entry.size)
    if (length > ZtocLimits.spanBytes) {
      return yield* new TooLargeForMemory({ subject: readable(entry.name), size: length, limit: ZtocLimits.spanBytes })
    }
    return Buffer.concat(yield* Stream.runCollect(content(entry, part, options)))
  })

  return {
    ztoc,
    spans,
    range,
    content,
    contentBytes,
    find: (name) => Effect.map(Effect.fromResult(findEntry(entries, name)), ({ entry }) => entry),
    inflateLayer: (options) => range(0, ztoc.uncompressedArchiveSize, options)
  }
}

export const layer: Layer.Layer<ZtocReader, never, Inflate> = Layer.effect(
  ZtocReader,
  Effect.gen(function* () {
    const inflate = yield* Inflate
    return ZtocReader.of({
      open: Effect.fn("ZtocReader.open")(function* (ztoc, bytes) {
        const opened = yield* check(ztoc, bytes)
        return layerOf({ ...opened, ztoc }, { layer: bytes.location, zinfo: opened.zinfo, inflate, bytes })
      }),
      verify: Effect.fn("ZtocReader.verify")(function* (ztoc, bytes, options) {
        const { entries, spans, zinfo } = yield* check(ztoc, bytes)
        yield* Effect.fromResult(buildLayerTree(entries.map(({ entry }) => entry)))
        const decoding = { layer: bytes.location, zinfo, inflate, bytes, concurrency: concurrencyOf(options) }
        yield* verifyLayer(decoding, { entries, spans, archiveSize: ztoc.uncompressedArchiveSize })
        return { spans: spans.length, entries: entries.length }
      })
    })
  })
)

/**
 * Keeps the spans of each open layer in a sparse file below one directory.
 *
 * Layers are shared by what they are read with: their digest and all of the ztoc that says how bytes become content. Two ztocs of one
 * layer never share a file: nothing but its own ztoc vouches for what a file holds, and a ztoc may come from anybody.
 */
import { Effect, Equal, Exit, Hash, Layer, RcMap, Scope, Semaphore } from "effect"
import { createHash } from "node:crypto"
import { availableParallelism } from "node:os"
import { Inflate } from "../services/Inflate.ts"
import type { RemoteBlob } from "../services/RemoteBlob.ts"
import { type LayerToOpen, SpanStore, type SpanStoreFailed } from "../services/SpanStore.ts"
import { InvalidZtoc } from "../services/Ztoc.ts"
import { Demand } from "./spans/Demand.ts"
import { makeLayerFiles } from "./spans/layerFiles.ts"
import { openLayer } from "./spans/openLayer.ts"
import { sweepSpanFiles } from "./spans/SpanFile.ts"
import type { QuotaOptions } from "./spans/SpanQuota.ts"
import { SpansInMemory } from "./spans/SpansInMemory.ts"

export interface SpanStoreOptions {
  /** Made with mode 0700 where it is missing. Layers have directories of their own in it, as long as they are open or kept. */
  readonly directory: string
  /** Keeps the spans of layers that were closed for those who open them later; without it they go with the layer. */
  readonly keep?: QuotaOptions
  /** Bytes of spans held in memory while the disk has no room; 64 MiB. */
  readonly memoryBytes?: number
  /** Requests of one layer at the same time; 4. */
  readonly requestsPerLayer?: number
  /** Compressed bytes that one request asks for, unless a single span is larger; 16 MiB. */
  readonly requestBytes?: number
  /** Compressed bytes read ahead of a sequential reader; 8 MiB, 0 for none. */
  readonly readAheadBytes?: number
  /** How often a span with wrong bytes is fetched again; 3. */
  readonly verificationRetries?: number
  /** Spans of all layers inflated at the same time; as many as there are cores. */
  readonly inflates?: number
}

const sixteenMiB = 16 * 1024 * 1024
const sixtyFourMiB = 64 * 1024 * 1024
/** Twice what a link of 1 Gbit/s and 25 ms has under way: more is fetched in vain where a reader stops. */
const eightMiB = 8 * 1024 * 1024

export const layer = (options: SpanStoreOptions): Layer.Layer<SpanStore, SpanStoreFailed, Inflate> =>
  Layer.effect(
    SpanStore,
    Effect.gen(function* () {
      const { directory } = options
      const inflate = yield* Inflate
      const inflates = yield* Semaphore.make(options.inflates ?? availableParallelism())
      yield* sweepSpanFiles(directory)
      const { files, quota } = yield* makeLayerFiles(directory, options.keep)
      const demand = new Demand()
      const memory = new SpansInMemory(options.memoryBytes ?? sixtyFourMiB)
      const layers = yield* RcMap.make({
        lookup: (key: LayerKey) =>
          openLayer(
            {
              files,
              memory,
              quota,
              demand,
              limits: { requests: options.requestsPerLayer ?? 4, requestBytes: options.requestBytes ?? sixteenMiB },
              readAheadBytes: options.readAheadBytes ?? eightMiB,
              verificationRetries: options.verificationRetries ?? 3,
              inflate,
              inflates
            },
            key.layer,
            key.identity
          )
      })

      const open: SpanStore["Service"]["open"] = Effect.fn("SpanStore.open")(function* (toOpen) {
        yield* Effect.annotateCurrentSpan({ layer: toOpen.digest })
        yield* checkSize(toOpen)
        // What failed is not kept for others who come while this scope is still open.
        const own = yield* Scope.fork(yield* Effect.scope)
        const shared = yield* RcMap.get(layers, new LayerKey(toOpen)).pipe(
          Scope.provide(own),
          Effect.onError((cause) => Scope.close(own, Exit.failCause(cause)))
        )
        yield* Scope.provide(lend(shared.sources, toOpen.blob), own)
        return shared.layer
      })
      return SpanStore.of({ open, whenQuiet: demand.quiet, whenWanted: demand.wanted })
    })
  )

const checkSize = ({ ztoc, blob }: LayerToOpen): Effect.Effect<void, InvalidZtoc> =>
  blob.descriptor.size === ztoc.compressedArchiveSize
    ? Effect.void
    : new InvalidZtoc({
        stage: "spans",
        field: "compressed_archive_size",
        reason: `${ztoc.compressedArchiveSize}, but the layer has ${blob.descriptor.size} bytes`
      })

/** The layer may be read from this blob, which belongs to the scope and may be closed after it. */
const lend = (sources: Set<RemoteBlob>, blob: RemoteBlob) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      // A value of its own, since one blob may be lent twice.
      const source: RemoteBlob = {
        descriptor: blob.descriptor,
        location: blob.location,
        read: (offset, length) => blob.read(offset, length)
      }
      sources.add(source)
      return source
    }),
    (source) => Effect.sync(() => sources.delete(source))
  )

class LayerKey implements Equal.Equal {
  readonly layer: LayerToOpen
  readonly identity: string

  constructor(layer: LayerToOpen) {
    this.layer = layer
    this.identity = identityOf(layer)
  }

  [Hash.symbol](): number {
    return Hash.string(this.identity)
  }

  [Equal.symbol](that: unknown): boolean {
    return that instanceof LayerKey && that.identity === this.identity
  }
}

/** A digest of the layer and of all that decides how its bytes become its stream. */
const identityOf = ({ digest, ztoc }: LayerToOpen): string => {
  const { compressionAlgorithm, compressedArchiveSize, uncompressedArchiveSize, maxSpanId, spanDigests } = ztoc
  const sizes = [compressedArchiveSize, uncompressedArchiveSize, maxSpanId]
  const fields = [digest, compressionAlgorithm, ...sizes, ...spanDigests]
  return createHash("sha256").update(JSON.stringify(fields)).update(ztoc.checkpoints).digest("hex")
}

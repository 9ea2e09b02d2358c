/**
 * A layer without a ztoc: fetched whole into a file, its ztoc built while it passes. From then on it is a layer like the others, whose
 * spans come from that file.
 */
import { NodeStream } from "@effect/platform-node"
import { Effect, Stream } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { createZstdDecompress } from "node:zlib"
import { type Descriptor, hexOf } from "../../services/Descriptor.ts"
import { LayerUnmountable, MountSetupFailed } from "../../services/ImageMounter.ts"
import type { SourceImage } from "../../services/ImageSource.ts"
import { layerCompression, MediaType } from "../../services/MediaType.ts"
import type { LayerToOpen } from "../../services/SpanStore.ts"
import { defaultBuildToolIdentifier, defaultSpanSize, type ZtocBuilder } from "../../services/ZtocBuilder.ts"
import { decodeZtoc } from "../../streams/codec/ztoc.ts"
import { fileBlob } from "../fileBlob.ts"

/** A zstd layer says nothing of its uncompressed size: beyond this many times its own it is taken for a bomb. */
const maxExpansion = 1024
const expansionFloor = 64 * 1024 * 1024

const openFile = (file: string) =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: () => fs.open(file, "wx+", 0o600),
      catch: (cause) => new MountSetupFailed({ path: file, reason: String(cause), cause })
    }),
    (handle) => Effect.promise(() => handle.close().then(() => fs.rm(file, { force: true })))
  )

/** Decompresses zstd, which has no ztoc form: what is kept is the tar. */
const decompress = <E, R>(layer: Descriptor, compressed: Stream.Stream<Uint8Array, E, R>) => {
  const unmountable = (cause: unknown) =>
    new LayerUnmountable({ layer: layer.digest, mediaType: layer.mediaType, cause })
  const limit = Math.max(expansionFloor, layer.size * maxExpansion)
  let size = 0
  return NodeStream.pipeThroughDuplex(compressed, {
    evaluate: () => createZstdDecompress({ chunkSize: 256 * 1024 }),
    onError: unmountable
  }).pipe(
    Stream.tap((chunk) => {
      size += chunk.length
      return size > limit
        ? Effect.fail(unmountable(new Error(`it decompresses to more than ${limit} bytes`)))
        : Effect.void
    })
  )
}

/** Fetches a layer into a file below `directory` that goes with the scope. */
export const fetchLocalLayer = Effect.fn("ImageMounter.fetchLocalLayer")(function* (
  image: SourceImage,
  layer: Descriptor,
  directory: string,
  ztocs: ZtocBuilder["Service"]
) {
  const compression = layerCompression(layer.mediaType)
  if (!compression) {
    const cause = new Error("it is not a tar layer that can be read")
    return yield* new LayerUnmountable({ layer: layer.digest, mediaType: layer.mediaType, cause })
  }
  const zstd = compression === "zstd"
  const file = path.join(directory, hexOf(layer.digest))
  const handle = yield* openFile(file)
  const blob = image.readBlob(layer)
  const kept = (zstd ? decompress(layer, blob) : blob).pipe(
    Stream.tap((chunk) =>
      Effect.tryPromise({
        try: () => handle.appendFile(chunk),
        catch: (cause) => new MountSetupFailed({ path: file, reason: String(cause), cause })
      })
    )
  )
  const built = yield* ztocs.build(kept, {
    compression: zstd ? "uncompressed" : compression,
    spanSize: defaultSpanSize,
    buildToolIdentifier: defaultBuildToolIdentifier,
    ...(zstd ? {} : { layerDigest: layer.digest })
  })
  const ztoc = yield* Effect.fromResult(decodeZtoc(built.bytes))
  const stored: Descriptor = zstd
    ? { mediaType: MediaType.ociLayer, digest: built.layerDigest, size: built.layerSize }
    : layer
  const toOpen: LayerToOpen = { digest: stored.digest, ztoc, blob: fileBlob(stored, file, handle) }
  return toOpen
})

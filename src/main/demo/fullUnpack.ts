/**
 * What everybody does without lazy loading: download every layer, inflate it, write its files.
 */
import { NodeStream } from "@effect/platform-node"
import { Effect } from "effect"
import { createGunzip } from "node:zlib"
import type { PlatformManifest } from "../../services/ArtifactSource.ts"
import type { SourceImage } from "../../services/ImageSource.ts"
import { Unpacker, UnpackFailed } from "../../services/Unpacker.ts"

/** Applies the layers of an image to a directory, one upon the other. */
export const fullUnpack = Effect.fn("demo.fullUnpack")(function* (
  image: SourceImage,
  { manifest }: PlatformManifest,
  directory: string
) {
  const unpacker = yield* Unpacker
  for (const layer of manifest.layers ?? []) {
    const tar = NodeStream.pipeThroughDuplex(image.readBlob(layer), {
      evaluate: () => createGunzip({ chunkSize: 256 * 1024 }),
      onError: (cause) =>
        new UnpackFailed({ directory, entry: "", operation: `inflate ${layer.digest}`, reason: String(cause), cause })
    })
    yield* unpacker.unpack(tar, { directory, whiteouts: "apply" })
  }
})

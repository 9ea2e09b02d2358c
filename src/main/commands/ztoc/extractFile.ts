/**
 * The work of `soci ztoc get-file`.
 */
import { Effect, Layer, Schema, Stream } from "effect"
import { openLayerFile } from "../../../layers/extract/layerFile.ts"
import { writeOutputFile } from "../../../layers/extract/outputFile.ts"
import * as InflateLive from "../../../layers/InflateLive.ts"
import * as ZtocReaderLive from "../../../layers/ZtocReaderLive.ts"
import type { ContentStore } from "../../../services/ContentStore.ts"
import { Digest } from "../../../services/Descriptor.ts"
import { type LayerBytes, ZtocReader } from "../../../services/ZtocReader.ts"
import { followSymlink } from "../../../streams/followSymlink.ts"
import { CommandRefused } from "../../commandFailure.ts"
import { openContainerd, openContentStore } from "../../stores.ts"
import { contentMissing } from "../storedArtifact.ts"
import { writeStandardOutput } from "../standardOutput.ts"
import { readZtoc } from "./ztocInput.ts"

/** What reads layers for the commands. */
export const ztocReader = ZtocReaderLive.layer.pipe(Layer.provide(InflateLive.layer()))

const isDigest = Schema.is(Digest)

const openStored = Effect.fnUntraced(function* (store: ContentStore["Service"], digest: string) {
  const descriptor = yield* store.resolve(digest)
  const { location, read } = yield* store.open(descriptor)
  const layer: LayerBytes = { location, read, size: descriptor.size }
  return layer
})

/** The layer, in containerd where it is, else in the content store. */
const openLayer = Effect.fnUntraced(function* (layerDigest: string | undefined) {
  if (!isDigest(layerDigest)) {
    const reason = "a file with a ztoc does not say which layer it is for: give the layer's file with --layer"
    return yield* new CommandRefused({ reason })
  }
  const containerd = yield* openContainerd
  const { store, kind } = yield* openContentStore(containerd)
  return yield* openStored(containerd.content, layerDigest).pipe(
    Effect.catch((error) => (kind === "soci" ? openStored(store, layerDigest) : Effect.fail(error))),
    Effect.catchTag("ContentNotFound", () => Effect.fail(contentMissing(layerDigest)))
  )
})

export const extractFile = Effect.fn("soci.ztoc.getFile")(
  function* (options: {
    readonly ztoc: string
    readonly file: string
    /** A file with the layer; empty for the one in the stores. */
    readonly layer: string
    /** Empty for standard output. */
    readonly output: string
  }) {
    if (options.ztoc === "" || options.file === "") {
      return yield* new CommandRefused({ reason: "please provide both a ztoc digest and a filename to extract" })
    }
    const { ztoc, layerDigest } = yield* readZtoc(options.ztoc)
    const bytes = yield* options.layer === "" ? openLayer(layerDigest) : openLayerFile(options.layer)
    const reader = yield* ZtocReader
    const layer = yield* reader.open(ztoc, bytes)
    const name = Buffer.from(options.file).toString("latin1")
    const content = layer.content(yield* layer.find(followSymlink(ztoc.entries, name)))
    yield* options.output === ""
      ? writeStandardOutput(Stream.concat(content, Stream.succeed("\n")))
      : writeOutputFile(options.output, content)
  },
  Effect.scoped,
  Effect.provide(ztocReader)
)

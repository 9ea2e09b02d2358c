/**
 * Where the commands get a ztoc from: a file, or the content store by its digest.
 */
import { Effect, Stream } from "effect"
import { FileFailed, fileFailed, openFile } from "../../../layers/extract/layerFile.ts"
import { ZtocLimits } from "../../../services/ZtocLimits.ts"
import { decodeZtoc } from "../../../streams/codec/ztoc.ts"
import { CommandRefused } from "../../commandFailure.ts"
import { openArtifactsDb, openContainerd, openContentStore } from "../../stores.ts"
import { contentMissing, findRow, readDigest, rowDescriptor } from "../storedArtifact.ts"

const refuseSize = (subject: string, size: number) =>
  size <= ZtocLimits.ztocBytes
    ? Effect.void
    : new CommandRefused({ reason: `${subject} has ${size} bytes; a ztoc has at most ${ZtocLimits.ztocBytes}` })

const fromStore = Effect.fnUntraced(function* (text: string) {
  const row = yield* findRow(yield* openArtifactsDb, yield* readDigest(text))
  if (row.type === "soci_index") {
    const reason =
      "the provided digest belongs to a SOCI index. Use `soci index info` to get the detailed information about it"
    return yield* new CommandRefused({ reason })
  }
  yield* refuseSize(row.digest, row.size)
  const { store } = yield* openContentStore(yield* openContainerd)
  const chunks = yield* Stream.runCollect(store.read(rowDescriptor(row))).pipe(
    Effect.catchTag("ContentNotFound", () => Effect.fail(contentMissing(row.digest)))
  )
  return { bytes: Buffer.concat(chunks), layerDigest: row.originalDigest }
}, Effect.scoped)

const fromFile = Effect.fnUntraced(function* (file: string) {
  const { handle, size } = yield* openFile(file)
  yield* refuseSize(file, size)
  const bytes = Buffer.allocUnsafeSlow(size)
  const { bytesRead } = yield* Effect.tryPromise({
    try: () => handle.read(bytes, 0, size, 0),
    catch: fileFailed("read", file)
  })
  if (bytesRead < size) {
    return yield* new FileFailed({ operation: "read", path: file, reason: "it became shorter meanwhile" })
  }
  return { bytes, layerDigest: undefined }
}, Effect.scoped)

/** What has the form of a digest is one, and nothing at all is a digest that is missing; everything else is a file. */
const isDigestText = (text: string): boolean => text === "" || /^[a-z0-9]+:[^/]*$/.test(text)

/** The ztoc, the size of its bytes, and the layer it is for where the data base knows. */
export const readZtoc = Effect.fnUntraced(function* (text: string) {
  const { bytes, layerDigest } = yield* isDigestText(text) ? fromStore(text) : fromFile(text)
  return { ztoc: yield* Effect.fromResult(decodeZtoc(bytes)), size: bytes.length, layerDigest }
})

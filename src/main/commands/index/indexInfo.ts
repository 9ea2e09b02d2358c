/**
 * The work of `soci index info`: the index as it is stored, on several lines.
 */
import { Effect, Stream } from "effect"
import { indentJson } from "../../../streams/codec/indentJson.ts"
import { CommandRefused } from "../../commandFailure.ts"
import { openArtifactsDb, openContainerd, openContentStore } from "../../stores.ts"
import { findRow, readArtifact, readDigest } from "../storedArtifact.ts"
import { writeStandardOutput } from "../standardOutput.ts"

export const indexInfo = Effect.fn("soci.index.info")(function* (text: string) {
  const digest = yield* readDigest(text)
  const row = yield* findRow(yield* openArtifactsDb, digest)
  if (row.type === "soci_layer") {
    const reason =
      'the provided digest is of ztoc not SOCI index. Use "soci ztoc info" command to get detailed info of ztoc'
    return yield* new CommandRefused({ reason })
  }
  const { store } = yield* openContentStore(yield* openContainerd)
  const bytes = yield* readArtifact(store, row)
  const indented = yield* Effect.mapError(
    Effect.fromResult(indentJson(Buffer.from(bytes).toString())),
    (reason) => new CommandRefused({ reason: `${digest} is no JSON: ${reason}` })
  )
  yield* writeStandardOutput(Stream.succeed(`${indented}\n`))
}, Effect.scoped)

/**
 * The work of `soci ztoc info`.
 */
import { Effect, Stream } from "effect"
import { ztocInfo } from "../../../streams/ztocInfo.ts"
import { writeStandardOutput } from "../standardOutput.ts"
import { readZtoc } from "./ztocInput.ts"

export const printZtocInfo = Effect.fn("soci.ztoc.info")(function* (text: string) {
  const { ztoc, size } = yield* readZtoc(text)
  const pieces = yield* Effect.fromResult(ztocInfo(ztoc, size))
  yield* writeStandardOutput(Stream.fromIterable(pieces))
})

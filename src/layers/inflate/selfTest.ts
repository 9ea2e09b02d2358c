/**
 * A known span that every inflater must inflate before it is trusted: it starts between two bits and refers into its window.
 */
import { Effect, Schema } from "effect"
import type { Inflate } from "../../services/Inflate.ts"
import { windowSize } from "../../streams/codec/zinfoWriter.ts"

/** An implementation cannot be loaded, or does not inflate what it must. */
export class InflateUnavailable extends Schema.TaggedError<InflateUnavailable>()("InflateUnavailable", {
  implementation: Schema.String,
  reason: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `the inflater "${this.implementation}" cannot be used here: ${this.reason}`
  }
}

const sampleText = (): Buffer => {
  let text = ""
  for (let i = 0; text.length < 6000; i++) text += `${(i * i) % 997} spans of layer ${i % 13} `
  return Buffer.from(text.slice(0, 6000))
}

/** The last block of the sample text, deflated; it starts at byte 5210 of the text. */
const sample = {
  out: 5210,
  bits: 4,
  compressed:
    "34aZ2wAQg0CwFUoAbL7+GztZFzKpI2u17Cc20Pqyt/CI7UeX7CTLgayWAx3HFTCpLaYl7kpqAvHVL5lOoZr4pukrOftXKgf2N+mLYS1pVINIfw8Mr5PQ" +
    "ckJhQ7oASaAPG61qiabjSjSpIEiU1GTH75f1YEOagOIXBpAUJZMDnmMDl1MJLDk4vfZ/Ix8="
}

/** The inflater, once it has inflated the sample. */
export const selfTested = Effect.fnUntraced(function* (inflater: Inflate["Service"]) {
  const { implementation } = inflater
  const text = sampleText()
  const window = Buffer.alloc(windowSize)
  text.copy(window, windowSize - sample.out, 0, sample.out)
  const request = {
    compressed: Buffer.from(sample.compressed, "base64"),
    bits: sample.bits,
    window,
    length: text.length - sample.out
  }
  const inflated = yield* inflater.inflate(request).pipe(
    Effect.mapError((cause) => new InflateUnavailable({ implementation, reason: cause.message, cause })),
    Effect.catchDefect((cause) =>
      Effect.fail(new InflateUnavailable({ implementation, reason: "it cannot be loaded", cause }))
    )
  )
  if (!text.subarray(sample.out).equals(inflated)) {
    return yield* new InflateUnavailable({ implementation, reason: "it inflates the known sample to other bytes" })
  }
  return inflater
})

/**
 * Inflates with pako: plain JavaScript, for machines where nothing native can be loaded. Runs on the calling thread.
 */
import { Effect, Layer } from "effect"
import { Inflate } from "../services/Inflate.ts"
import { Flush, Status, WindowBits } from "./inflate/BlockInflater.ts"
import { inflateSpan, type RawDeflate, type RawInflated, type RawInflater } from "./inflate/inflateSpan.ts"
import { PakoStream } from "./inflate/PakoStream.ts"
import { type InflateUnavailable, selfTested } from "./inflate/selfTest.ts"

const inflateSync = ({ input, bits, bitsValue, window, output, outputOffset }: RawDeflate): RawInflated | string => {
  const stream = new PakoStream(WindowBits.raw)
  if (bits > 0) stream.prime(bits, bitsValue)
  if (window) stream.setDictionary(window)
  stream.setInput(input)
  stream.setOutput(output, outputOffset, output.length - outputOffset)
  const status = stream.inflate(Flush.sync)
  const goesOn = status === Status.ok || status === Status.streamEnd || status === Status.bufError
  // As zlib, it reads on to the next symbol when the output is full: what follows a span is of no interest.
  if (!goesOn && !stream.isFull) return `corrupt deflate data (${stream.problem})`
  return { consumed: input.length - stream.unused, produced: stream.produced, ended: status === Status.streamEnd }
}

const inflate: RawInflater = (deflate) => Effect.sync(() => inflateSync(deflate))

export const layer: Layer.Layer<Inflate, InflateUnavailable> = Layer.effect(
  Inflate,
  selfTested(Inflate.of({ implementation: "pako", inflate: (request) => inflateSpan("pako", inflate, request) }))
)

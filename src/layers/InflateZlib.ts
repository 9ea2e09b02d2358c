/**
 * Inflates with the zlib of the Node binary, on the threads of libuv's pool. Fails to build where koffi cannot be loaded.
 */
import { Effect, Layer } from "effect"
import { Inflate } from "../services/Inflate.ts"
import { Flush, Status, WindowBits } from "./inflate/BlockInflater.ts"
import { inflateSpan, type RawInflated, type RawInflater } from "./inflate/inflateSpan.ts"
import { type InflateUnavailable, selfTested } from "./inflate/selfTest.ts"
import { ZlibStream } from "./native/zlib.ts"

const statusText = (status: number) =>
  status === Status.dataError ? "corrupt deflate data" : `zlib answered ${status}`

const answer = (stream: ZlibStream, inputLength: number, status: number): RawInflated | string => {
  const goesOn = status === Status.ok || status === Status.streamEnd || status === Status.bufError
  // zlib reads on to the next symbol when the output is full: what follows a span is of no interest.
  if (!goesOn && !stream.isFull) return statusText(status)
  return { consumed: inputLength - stream.unused, produced: stream.produced, ended: status === Status.streamEnd }
}

/** The pool cannot be told to stop: the stream is freed when its thread is done with it. */
export const inflate: RawInflater = ({ input, bits, bitsValue, window, output, outputOffset }) =>
  Effect.acquireUseRelease(
    Effect.sync(() => new ZlibStream(WindowBits.raw)),
    (stream) =>
      Effect.callback<RawInflated | string>((resume) => {
        if (bits > 0) stream.prime(bits, bitsValue)
        if (window) stream.setDictionary(window)
        stream.setInput(input)
        stream.setOutput(output, outputOffset, output.length - outputOffset)
        stream.inflateAsync(Flush.sync, (error, status) =>
          resume(error ? Effect.die(error) : Effect.sync(() => answer(stream, input.length, status)))
        )
      }),
    (stream) => Effect.sync(() => stream.close())
  ).pipe(Effect.uninterruptible)

export const layer: Layer.Layer<Inflate, InflateUnavailable> = Layer.effect(
  Inflate,
  selfTested(Inflate.of({ implementation: "zlib", inflate: (request) => inflateSpan("zlib", inflate, request) }))
)

/**
 * Inflates with Intel's ISA-L where the system has it, on the threads of libuv's pool.
 */
import { Effect, Layer } from "effect"
import { Inflate } from "../services/Inflate.ts"
import { inflateSpan, type RawInflated, type RawInflater } from "./inflate/inflateSpan.ts"
import { type InflateUnavailable, selfTested } from "./inflate/selfTest.ts"
import { IsalStatus, IsalStream } from "./native/isal.ts"

/** ISA-L reads on when the output is full, and tells of errors there: what follows a span is of no interest. */
const isInflated = (stream: IsalStream, status: number) =>
  stream.isFull || status === IsalStatus.ok || status === IsalStatus.endOfInput || status === IsalStatus.outputFull

const answer = (stream: IsalStream, status: number): RawInflated | string =>
  isInflated(stream, status)
    ? { consumed: stream.consumed, produced: stream.produced, ended: stream.ended }
    : `corrupt deflate data (${status})`

/** The pool cannot be told to stop: the buffers are kept until its thread is done with them. */
const inflate: RawInflater = ({ input, bits, bitsValue, window, output, outputOffset }) =>
  Effect.callback<RawInflated | string>((resume) => {
    const stream = new IsalStream(input, output, outputOffset)
    if (bits > 0) stream.prime(bits, bitsValue)
    if (window && window.length > 0) stream.setDictionary(window)
    stream.inflateAsync((error, status) =>
      resume(error ? Effect.die(error) : Effect.sync(() => answer(stream, status)))
    )
  }).pipe(Effect.uninterruptible)

export const layer: Layer.Layer<Inflate, InflateUnavailable> = Layer.effect(
  Inflate,
  selfTested(Inflate.of({ implementation: "isal", inflate: (request) => inflateSpan("isal", inflate, request) }))
)

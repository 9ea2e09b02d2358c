/**
 * Inflates with Intel's ISA-L where the system has it, on the threads of libuv's pool.
 */
import { Effect, Layer } from "effect"
import { Inflate } from "../services/Inflate.ts"
import { inflateSpan, type RawDeflate, type RawInflated, type RawInflater } from "./inflate/inflateSpan.ts"
import { type InflateUnavailable, selfTested } from "./inflate/selfTest.ts"
import * as InflateZlib from "./InflateZlib.ts"
import { IsalStatus, IsalStream } from "./native/isal.ts"

const isInflated = (status: number) =>
  status === IsalStatus.ok || status === IsalStatus.endOfInput || status === IsalStatus.outputFull

/** Undefined where ISA-L found an error. */
const answer = (stream: IsalStream, status: number): RawInflated | undefined =>
  isInflated(status) ? { consumed: stream.consumed, produced: stream.produced, ended: stream.ended } : undefined

/** The pool cannot be told to stop: the buffers are kept until its thread is done with them. */
const inflateFast = ({ input, bits, bitsValue, window, output, outputOffset }: RawDeflate) =>
  Effect.callback<RawInflated | undefined>((resume) => {
    const stream = new IsalStream(input, output, outputOffset)
    if (bits > 0) stream.prime(bits, bitsValue)
    if (window && window.length > 0) stream.setDictionary(window)
    stream.inflateAsync((error, status) =>
      resume(error ? Effect.die(error) : Effect.sync(() => answer(stream, status)))
    )
  }).pipe(Effect.uninterruptible)

/**
 * ISA-L reads on when the output is full, tells of errors there, and counts a match that is not valid as output. So an error may
 * lie behind the span or in it: zlib tells.
 */
const inflate: RawInflater = (deflate) =>
  Effect.flatMap(inflateFast(deflate), (inflated) =>
    inflated === undefined ? InflateZlib.inflate(deflate) : Effect.succeed(inflated)
  )

export const layer: Layer.Layer<Inflate, InflateUnavailable> = Layer.effect(
  Inflate,
  selfTested(Inflate.of({ implementation: "isal", inflate: (request) => inflateSpan("isal", inflate, request) }))
)

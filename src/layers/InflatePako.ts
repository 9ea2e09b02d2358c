/**
 * Inflates with pako: plain JavaScript, for machines where nothing native can be loaded. Runs on the calling thread.
 */
import { Effect, Layer } from "effect"
import { Inflate as PakoInflate } from "pako"
import { Inflate } from "../services/Inflate.ts"
import { inflateSpan, type RawDeflate, type RawInflated, type RawInflater } from "./inflate/inflateSpan.ts"
import { type InflateUnavailable, selfTested } from "./inflate/selfTest.ts"

/** Output is handed over in pieces of this size, so that data that go on for too long cost no more than one of them. */
const pieceSize = 256 * 1024

const syncFlush = 2

/** Thrown through pako to stop it: the output is full. */
class OutputFull extends Error {}

/** The part of pako's state that a start between two bits needs: what zlib's inflatePrime sets. */
interface PakoState {
  readonly strm: { readonly avail_in: number; readonly state: { hold: number; bits: number } }
}

const inflateSync = ({ input, bits, bitsValue, window, output, outputOffset }: RawDeflate): RawInflated | string => {
  let at = outputOffset
  const inflater = new PakoInflate({ raw: true, chunkSize: pieceSize, ...(window ? { dictionary: window } : {}) })
  inflater.onData = (piece) => {
    const taken = piece.subarray(0, output.length - at)
    output.set(taken, at)
    at += taken.length
    if (at === output.length) throw new OutputFull()
  }
  const { strm } = inflater as unknown as PakoState
  strm.state.hold = bitsValue
  strm.state.bits = bits
  try {
    inflater.push(input, syncFlush)
  } catch (error) {
    if (!(error instanceof OutputFull)) throw error
    return { consumed: input.length - strm.avail_in, produced: at - outputOffset, ended: false }
  }
  if (inflater.err !== 0 && inflater.err !== -5) return `corrupt deflate data (${inflater.msg})`
  return { consumed: input.length - strm.avail_in, produced: at - outputOffset, ended: inflater.ended }
}

const inflate: RawInflater = (deflate) => Effect.sync(() => inflateSync(deflate))

export const layer: Layer.Layer<Inflate, InflateUnavailable> = Layer.effect(
  Inflate,
  selfTested(Inflate.of({ implementation: "pako", inflate: (request) => inflateSpan("pako", inflate, request) }))
)
